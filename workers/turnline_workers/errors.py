"""Errors that only workers know; they extend the tree in ``turnline_schemas.errors``.

TurnlineError
├── ConfigurationError
│   ├── SchemaVersionError       run ``turnline migrate``
│   └── AssistantNotFoundError   name one that exists
├── ConflictError
│   ├── StaleStateError          load the session again
│   └── StreamFencedError        another process tells what happens in the session
├── StreamError                  the stream is over; what was emitted since is not in it
│   ├── SlowReaderError
│   └── StreamClosedError
├── ClaimLostError               another worker plays the session: drop everything, write nothing
└── PlayError                    the turn fails visibly, the session goes on
    ├── StepError
    ├── StepBudgetError
    ├── PauseExpiredError
    └── ModelError
        └── ContextOverflowError
"""

from pydantic import JsonValue

from turnline_schemas.errors import ConfigurationError, ConflictError, TurnlineError
from turnline_schemas.storable import storable


class SchemaVersionError(ConfigurationError):
    """The database has another schema version than this code."""

    code = "schema_version"

    def __init__(self, found: str | None, wanted: str) -> None:
        state = f"is at schema version {found!r}" if found else "has no Turnline schema"
        super().__init__(
            f"the database {state}, this worker needs {wanted!r}: run 'turnline migrate'"
        )
        self.found = found
        self.wanted = wanted


class AssistantNotFoundError(ConfigurationError):
    """No assistant of that name is served here."""

    code = "assistant_not_found"

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"no assistant {name!r} here; known: {', '.join(map(repr, known))}")
        self.name = name


class StaleStateError(ConflictError):
    """A newer state of the session is stored; nothing was saved."""

    code = "stale_state"

    def __init__(self, session: str, revision: int) -> None:
        """Say what to do.

        Args:
            revision: of the state that was to be saved.
        """
        super().__init__(
            f"another process saved session {session!r} meanwhile (this state is of revision"
            f" {revision}): load it again"
        )
        self.session = session
        self.revision = revision


class StreamFencedError(ConflictError):
    """A newer attempt, or a worker, publishes the session's events; nothing was written."""

    code = "stream_fenced"

    def __init__(self, session: str) -> None:
        super().__init__(
            f"the events of session {session!r} come from another process by now;"
            " play a session in one process at a time, or by workers"
        )
        self.session = session


class StreamError(TurnlineError):
    """The stream is over, and what was emitted since is not in it."""

    code = "stream_over"


class SlowReaderError(StreamError):
    """The reader does not keep up; its stream was ended rather than kept in memory."""

    code = "slow_reader"


class StreamClosedError(StreamError):
    """The stream was closed, or its reader is gone."""

    code = "stream_closed"


class ClaimLostError(TurnlineError):
    """A newer claim of the session exists.  Nothing was written, and nothing may be."""

    code = "claim_lost"

    def __init__(self, session: str, fence: int) -> None:
        super().__init__(f"claim {fence} of session {session!r} is fenced off")
        self.session = session
        self.fence = fence


class PlayError(TurnlineError):
    """Playing the turn failed; the turn ends as ``failed`` with this code and text."""

    code = "play_error"
    retryable = False
    """Whether enqueueing the same message again may succeed."""

    def __init__(self, problem: str) -> None:
        # It is stored and published, whoever's words are in it.
        super().__init__(storable(problem))


class StepError(PlayError):
    """A step of the pipeline raised."""

    code = "step_error"

    def __init__(self, step: str, problem: str) -> None:
        """Say which step.

        Args:
            problem: what it raised, in words.
        """
        super().__init__(f"step {step!r} raised {problem}")
        self.step = step


class StepBudgetError(PlayError):
    """The model went on calling tools until its budget was spent."""

    code = "step_budget"

    def __init__(self, calls: int) -> None:
        super().__init__(f"no answer after {calls} calls of the model")


class PauseExpiredError(PlayError):
    """Nobody answered in time what the turn was paused for."""

    code = "pause_expired"

    def __init__(self, kind: str) -> None:
        super().__init__(f"nobody answered the question for {kind!r} in time")


class ModelError(PlayError):
    """The model failed to answer."""

    code = "model_error"

    def __init__(
        self,
        problem: str,
        *,
        transient: bool = False,
        retry_after: float | None = None,
        raw: JsonValue = None,
    ) -> None:
        """Say what went wrong.

        Args:
            problem: is published; no secrets.
            transient: the same call may succeed in a moment: overload, a timeout, a lost
                connection.
            retry_after: seconds to wait first, as the provider wishes.
            raw: what the provider said, for ``state.private``.
        """
        super().__init__(problem)
        self.retryable = transient
        self.retry_after = retry_after
        self.raw = raw


class ContextOverflowError(ModelError):
    """The view is longer than the model can read."""

    code = "context_overflow"

"""Where a session's state lives between its turns."""

import json
import threading
from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import TypeAdapter

from turnline_schemas.errors import InvalidInputError
from turnline_schemas.event_data import Diagnostic, TraceEntry
from turnline_workers.errors import StaleStateError
from turnline_workers.interaction.state import InteractionState, ViewMessage

_MESSAGES = TypeAdapter(tuple[ViewMessage, ...])
_DIAGNOSTICS = TypeAdapter(tuple[Diagnostic, ...])
_TRACE = TypeAdapter(tuple[TraceEntry, ...])


class SessionStore(Protocol):
    """Keeps states by session.

    ``context`` is what the session was made with, such as a tenant; the stores shipped here do
    not look at it.  ``turnline_workers.testing`` says what else a store must do, and checks it.
    """

    async def load(self, session: str, context: Mapping[str, Any]) -> InteractionState | None:
        """Return what was saved last, with its revision; None if nothing was."""
        ...

    async def save(self, session: str, state: InteractionState, context: Mapping[str, Any]) -> None:
        """Keep ``state`` of revision n as revision n + 1, in place of revision n.

        Nothing stored is revision 0.

        Raises:
            StaleStateError: another revision is stored; nothing was changed.
        """
        ...

    async def delete(self, session: str, context: Mapping[str, Any]) -> None:
        """Forget the session; nothing happens if it is not known."""
        ...


class MemoryStore:
    """Keeps states in this process, as JSON, so that nobody holds a piece of what is stored.

    Safe to share between tasks and threads.
    """

    def __init__(self) -> None:
        self._states: dict[str, tuple[int, str]] = {}
        self._one_at_a_time = threading.Lock()

    async def load(self, session: str, context: Mapping[str, Any]) -> InteractionState | None:  # noqa: ARG002
        """Return what was saved last; None if nothing was."""
        stored = self._states.get(session)
        return None if stored is None else from_json(stored[1], revision=stored[0])

    async def save(
        self,
        session: str,
        state: InteractionState,
        context: Mapping[str, Any],  # noqa: ARG002
    ) -> None:
        """Keep ``state`` in place of the revision that it was made from.

        Raises:
            StaleStateError: another revision is stored.
            InvalidInputError: the state holds what JSON cannot.
        """
        text = to_json(state)
        with self._one_at_a_time:
            found, _ = self._states.get(session, (0, ""))
            if found != state.revision:
                raise StaleStateError(session, state.revision)
            self._states[session] = (state.revision + 1, text)

    async def delete(self, session: str, context: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Forget the session; nothing happens if it is not known."""
        self._states.pop(session, None)


def to_json(state: InteractionState) -> str:
    """Return a state as JSON, without its revision.

    What a turn was in the middle of is not part of it.

    Raises:
        InvalidInputError: the state holds what JSON, or UTF-8, cannot.
    """
    content = {
        "messages": _MESSAGES.dump_python(state.messages, mode="json"),
        "next_index": state.next_index,
        "last_seq": state.last_seq,
        "diagnostics": _DIAGNOSTICS.dump_python(state.diagnostics, mode="json"),
        "trace": _TRACE.dump_python(state.trace, mode="json"),
        "private": state.private,
    }
    try:
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"the state cannot be stored as JSON: {error}") from error
    return text


def from_json(text: str | bytes, *, revision: int) -> InteractionState:
    """Return the state that ``to_json`` was given, as the revision it was stored as."""
    stored = json.loads(text)
    return InteractionState(
        messages=_MESSAGES.validate_python(stored["messages"]),
        next_index=stored["next_index"],
        last_seq=stored["last_seq"],
        revision=revision,
        diagnostics=_DIAGNOSTICS.validate_python(stored["diagnostics"]),
        trace=_TRACE.validate_python(stored["trace"]),
        private=stored["private"],
    )

"""Events: published, numbered facts of a session.

Readers ignore types they do not know; within version 1 fields are only ever added.
Ids inside events are derived (``<turn>.<step>.<index>``), never random, so that every
projection of a log is repeatable.
"""

import json
from typing import Any, Final, Literal

from pydantic import ConfigDict, Field, JsonValue, TypeAdapter, model_validator

from turnline_schemas.cursor import Cursor
from turnline_schemas.message import Message, WireModel


class Usage(WireModel):
    """Tokens that a turn used, as the provider reported them."""

    input: int = 0
    output: int = 0


class EventData(WireModel):
    """Base of what an event says beyond its envelope."""


class UnknownData(EventData):
    """Data of a type that this version does not know.  All fields are kept."""

    model_config = ConfigDict(frozen=True, extra="allow")


class TurnAccepted(EventData):
    """The turn is committed in Postgres and waits for its turn."""

    position: str
    not_before: str | None = None
    """ISO 8601; set if the turn waits for a time."""


class TurnStarted(EventData):
    """An attempt at the turn begins."""

    message_id: str
    """Derived id of the answer: ``msg_<turn>``."""
    assistant: str
    model: str
    input: Message
    """The user's message, so that every follower can show the whole conversation."""


class TurnCompleted(EventData):
    """The turn ended well; its messages are in the transcript."""

    finish_reason: str = "stop"
    usage: Usage = Usage()


class TurnFailed(EventData):
    """The turn ended in an error.  Text streamed before it is kept in the transcript."""

    code: str
    message: str
    retryable: bool = False


class TurnCancelled(EventData):
    """The turn was cancelled.  Text streamed before it is kept in the transcript."""

    reason: str


class TurnDead(EventData):
    """The turn took down its worker too often and is kept aside; the session goes on."""

    code: str
    message: str
    attempts: int


class AttemptSuperseded(EventData):
    """An attempt died.  A reader erases everything that attempt showed of this turn."""

    attempt: int
    """Number of the dead attempt; the envelope names the one that takes over.

    Each new attempt names all earlier ones, so the same one may be named again.
    """
    reason: str
    """``handed_over`` if workers that were stopped gave all earlier attempts up, as in a rolling
    restart; ``worker_lost`` if at least one attempt ended with its worker, or failed it."""


class StepStarted(EventData):
    """A step of the pipeline begins."""

    step: str
    """Derived id, ``<turn>.<index>``."""
    name: str


class StepCompleted(EventData):
    """A step of the pipeline ended."""

    step: str
    name: str


class TextStarted(EventData):
    """A piece of text begins."""

    part: str


class TextDelta(EventData):
    """More of a piece of text."""

    part: str
    delta: str


class TextCompleted(EventData):
    """A piece of text ended."""

    part: str


class ReasoningStarted(TextStarted):
    """A piece of reasoning begins."""


class ReasoningDelta(TextDelta):
    """More of a piece of reasoning."""


class ReasoningCompleted(TextCompleted):
    """A piece of reasoning ended."""


class Diagnostic(EventData):
    """Something worth knowing that did not end the turn."""

    code: str
    message: str


class TranscriptEntry(WireModel):
    """One message of a transcript, with the turn it belongs to."""

    index: int
    turn: str
    message: Message


class Snapshot(WireModel):
    """A session as of a cursor: all that was said before it."""

    session: str
    cursor: str
    """Follow from here, and nothing is missing or doubled."""
    transcript: tuple[TranscriptEntry, ...] = ()


class SessionReset(EventData):
    """The reader's cursor cannot be continued.  Made by the reader, never stored in a log."""

    reason: Literal["epoch_changed", "trimmed", "ahead"]
    requested: str
    """The cursor that could not be continued."""
    cursor: str
    """Where reading goes on."""
    snapshot: Snapshot | None = None
    """The session as of ``cursor``; None if the reader has no snapshot source."""


DATA_MODELS: Final[dict[str, type[EventData]]] = {
    "turn.accepted": TurnAccepted,
    "turn.started": TurnStarted,
    "turn.completed": TurnCompleted,
    "turn.failed": TurnFailed,
    "turn.cancelled": TurnCancelled,
    "turn.dead": TurnDead,
    "attempt.superseded": AttemptSuperseded,
    "step.started": StepStarted,
    "step.completed": StepCompleted,
    "text.started": TextStarted,
    "text.delta": TextDelta,
    "text.completed": TextCompleted,
    "reasoning.started": ReasoningStarted,
    "reasoning.delta": ReasoningDelta,
    "reasoning.completed": ReasoningCompleted,
    "diagnostic": Diagnostic,
    "session.reset": SessionReset,
}
"""Type of event -> model of its data.  The one list of what version 1 emits."""

EVENT_TYPES: Final = {model: name for name, model in DATA_MODELS.items()}

TERMINAL: Final = frozenset({"turn.completed", "turn.failed", "turn.cancelled", "turn.dead"})
"""Types that end a turn.  Every turn that starts has exactly one of them."""


class Event(WireModel):
    """One published, numbered fact of a session."""

    v: Literal[1] = 1
    seq: int = Field(ge=0)
    """Dense in its session: 1, 2, 3, ... across turns, attempts and workers."""
    session: str
    turn: str | None = None
    """None for events that concern the session itself."""
    attempt: int = 0
    """Which try at the turn; 0 before the first."""
    ts: int
    """Worker's clock when the event was made, in ms since 1970.  Never used to order."""
    type: str
    data: EventData
    epoch: str = Field(default="", exclude=True)
    """Which life of the log the event was read from; filled in by readers."""

    @model_validator(mode="before")
    @classmethod
    def _typed_data(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or isinstance(raw.get("data"), EventData):
            return raw
        model = DATA_MODELS.get(str(raw.get("type")), UnknownData)
        return {**raw, "data": model.model_validate(raw.get("data") or {})}

    @property
    def cursor(self) -> Cursor:
        """Where a reader that has this event continues."""
        return Cursor(self.epoch, self.seq)

    @property
    def terminal(self) -> bool:
        """Whether this event ends its turn."""
        return self.type in TERMINAL

    def to_json(self) -> str:
        """Return the envelope as it stands in the log and on the channel."""
        return json.dumps(
            {
                **self.model_dump(mode="json", exclude={"data"}),
                "data": self.data.model_dump(mode="json"),
            },
            ensure_ascii=False,
            separators=(",", ":"),
        )


class Frame(WireModel):
    """What one pub/sub message holds: a batch of events of one epoch."""

    epoch: str
    events: tuple[dict[str, JsonValue], ...]


FRAME: Final = TypeAdapter(Frame)


def parse_event(raw: bytes | str | dict[str, Any], *, epoch: str = "") -> Event:
    """Read one event, as it stands in a log entry or in a frame."""
    payload = raw if isinstance(raw, dict) else json.loads(raw)
    return Event.model_validate({**payload, "epoch": epoch})

"""What each type of event says.  The envelope is in ``turnline_schemas.event``.

Ids inside are derived, never random, so that every projection of a log is repeatable: step
``<turn>.<n>`` is the n-th run of a step in its turn (0 captures the input), and parts, tool calls
and sources are ``<step>.<index>``.
"""

from typing import Any, Final, Literal

from pydantic import ConfigDict, Field, JsonValue

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


class StepReset(EventData):
    """The step begins again.  A reader erases what it showed of it."""

    step: str
    reason: str


class StepCompleted(EventData):
    """A step of the pipeline ended."""

    step: str
    name: str
    finish_reason: str | None = None
    """Why the model stopped, if the step called one."""
    usage: Usage | None = None
    """Tokens of the model call, if the step made one."""


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


class ToolStarted(EventData):
    """The model begins to call a tool."""

    call: str
    name: str


class ToolDelta(EventData):
    """More of the arguments, as the model writes them: a piece of JSON text."""

    call: str
    delta: str


class ToolReady(EventData):
    """The call is complete: the tool runs next."""

    call: str
    name: str
    arguments: JsonValue
    """An object; text if the model wrote no valid JSON."""


class ToolResult(EventData):
    """The tool's answer, as the model will see it."""

    call: str
    name: str
    output: JsonValue
    is_error: bool = False


class SourceAdded(EventData):
    """Something that the answer rests on, found by a step or a tool."""

    source: str
    title: str
    url: str | None = None
    text: str = ""
    """What it says, as far as the model is told."""


class MessageAdded(EventData):
    """A step put a message into the conversation that no other event tells of."""

    id: str
    message: Message


class Data(EventData):
    """Something that a step or tool tells its readers; it is no part of the conversation."""

    name: str
    value: JsonValue
    transient: bool = False
    """Whether only who follows live needs it."""


class Diagnostic(EventData):
    """Something worth knowing that did not end the turn."""

    code: str
    message: str


class TraceEntry(WireModel):
    """What a step, a model call or a tool call took."""

    kind: Literal["step", "model", "tool"]
    id: str
    """The step, or the call."""
    name: str
    duration_ms: int
    """By the worker's clock."""
    usage: Usage | None = None
    error: str | None = None
    """Code of the error that it ended with."""


class Trace(EventData):
    """What the turn spent its time on; comes once, before the turn ends."""

    entries: tuple[TraceEntry, ...]


class TurnPaused(EventData):
    """The turn waits for an answer from outside; nothing runs until ``turn.resumed``."""

    pause: str
    """Token that the answer names."""
    kind: str
    """What is asked for, such as ``approval``."""
    payload: JsonValue = None
    """What whoever answers has to know."""
    answer_schema: dict[str, Any] = Field(default_factory=dict)
    """JSON schema that the answer must satisfy; empty for any."""
    expires_in: float | None = None
    """Seconds from now, after which the turn fails for want of an answer."""
    later_turns: Literal["wait", "refuse"] = "wait"
    """What becomes of turns that arrive meanwhile: they wait, or are refused (``session_paused``).

    Those that were accepted before wait in any case.
    """


class TurnResumed(EventData):
    """The turn goes on with the answer."""

    pause: str
    value: JsonValue = None


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
    "step.reset": StepReset,
    "step.completed": StepCompleted,
    "text.started": TextStarted,
    "text.delta": TextDelta,
    "text.completed": TextCompleted,
    "reasoning.started": ReasoningStarted,
    "reasoning.delta": ReasoningDelta,
    "reasoning.completed": ReasoningCompleted,
    "tool.started": ToolStarted,
    "tool.delta": ToolDelta,
    "tool.ready": ToolReady,
    "tool.result": ToolResult,
    "source.added": SourceAdded,
    "message.added": MessageAdded,
    "data": Data,
    "diagnostic": Diagnostic,
    "trace": Trace,
    "turn.paused": TurnPaused,
    "turn.resumed": TurnResumed,
    "session.reset": SessionReset,
}
"""Type of event -> model of its data.  The one list of what version 1 emits."""

EVENT_TYPES: Final = {model: name for name, model in DATA_MODELS.items()}

TERMINAL: Final = frozenset({"turn.completed", "turn.failed", "turn.cancelled", "turn.dead"})
"""Types that end a turn.  Every turn that starts has exactly one of them."""

"""How a turn ends, or stops."""

from dataclasses import dataclass

from turnline_schemas.event_data import TraceEntry, TurnCancelled, TurnCompleted, TurnFailed, Usage
from turnline_schemas.message import Message
from turnline_workers.interaction.pause import Question
from turnline_workers.interaction.state import InteractionState


@dataclass(frozen=True, slots=True)
class Completed:
    """The turn ended well; ``state`` is what the policies made of it."""

    messages: tuple[Message, ...]
    state: InteractionState
    usage: Usage
    finish_reason: str
    trace: tuple[TraceEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """The turn ended in an error; ``messages`` is what there was until then."""

    messages: tuple[Message, ...]
    state: InteractionState
    code: str
    message: str
    retryable: bool
    trace: tuple[TraceEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The turn was cancelled; ``messages`` is what there was until then."""

    messages: tuple[Message, ...]
    state: InteractionState
    reason: str
    trace: tuple[TraceEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Paused:
    """The turn waits for an answer.  Nothing of it is part of the session yet."""

    question: Question


Ended = Completed | Failed | Cancelled
Outcome = Ended | Paused


def ending(outcome: Ended) -> TurnCompleted | TurnFailed | TurnCancelled:
    """Return the event that ends the turn."""
    match outcome:
        case Completed(finish_reason=reason, usage=usage):
            return TurnCompleted(finish_reason=reason, usage=usage)
        case Failed(code=code, message=message, retryable=retryable):
            return TurnFailed(code=code, message=message, retryable=retryable)
        case Cancelled(reason=reason):
            return TurnCancelled(reason=reason)

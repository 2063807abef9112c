"""From an outcome to what is stored and published.  Pure."""

from dataclasses import dataclass
from typing import Any

from turnline_schemas.event import EventData, TurnCancelled, TurnCompleted, TurnDead, TurnFailed
from turnline_schemas.message import Message
from turnline_workers.flow import Claim, LogEvent, TerminalEvent
from turnline_workers.interaction.play import Cancelled, Completed, Failed, Outcome
from turnline_workers.interaction.state import InteractionState
from turnline_workers.store.commit import Settlement

DEAD_CODE = "attempts_spent"


@dataclass(frozen=True, slots=True)
class Dead:
    """The turn took down its worker too often; it is not played again by itself."""

    messages: tuple[Message, ...]
    state: InteractionState
    attempts: int


def settle(claim: Claim, outcome: Outcome | Dead, *, now_ms: int, top: int) -> Settlement:
    """Return how ``outcome`` is stored.

    Args:
        top: last seq of the log, after which the terminal event comes.
    """
    status, data, error = _told(outcome)
    usage = outcome.usage.model_dump() if isinstance(outcome, Completed) else None
    event = LogEvent(claim.session, claim.turn.turn, claim.turn.attempt, now_ms, data)
    return Settlement(
        status=status,
        messages=outcome.messages,
        state=outcome.state,
        event=TerminalEvent(claim.session, claim.turn.turn, event.fragment(), claim.fence),
        last_seq=top + 1,
        usage=usage,
        error=error,
    )


def _told(outcome: Outcome | Dead) -> tuple[str, EventData, dict[str, Any] | None]:
    match outcome:
        case Completed(finish_reason=reason, usage=usage):
            return "completed", TurnCompleted(finish_reason=reason, usage=usage), None
        case Failed(code=code, message=message, retryable=retryable):
            failed = TurnFailed(code=code, message=message, retryable=retryable)
            return "failed", failed, failed.model_dump(mode="json")
        case Cancelled(reason=reason):
            cancelled = TurnCancelled(reason=reason)
            return "cancelled", cancelled, None
        case Dead(attempts=attempts):
            text = f"the turn took down its worker {attempts} times"
            dead = TurnDead(code=DEAD_CODE, message=text, attempts=attempts)
            return "dead", dead, dead.model_dump(mode="json")

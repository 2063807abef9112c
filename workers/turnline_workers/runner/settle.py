"""From an outcome to what is stored and published.  Pure."""

from dataclasses import dataclass
from typing import Any

from turnline_schemas.event_data import EVENT_TYPES, EventData, TurnDead, TurnFailed
from turnline_schemas.message import Message
from turnline_workers.flow import Claim, LogEvent, TerminalEvent
from turnline_workers.interaction.outcome import Completed, Ended, ending
from turnline_workers.interaction.pause import Question
from turnline_workers.interaction.state import InteractionState
from turnline_workers.store.commit import Settlement, Suspension

DEAD_CODE = "attempts_spent"


@dataclass(frozen=True, slots=True)
class Dead:
    """The turn took down its worker too often; it is not played again by itself."""

    messages: tuple[Message, ...]
    state: InteractionState
    attempts: int


def suspended(claim: Claim, question: Question, *, now_ms: int, top: int) -> Suspension:
    """Return how a turn that waits for an answer is stored.

    Args:
        top: last seq of the log, after which ``turn.paused`` comes.
    """
    told = question.event()
    event = LogEvent(claim.session, claim.turn.turn, claim.turn.attempt, now_ms, told)
    return Suspension(
        question=told.model_dump(mode="json"),
        expires_in=question.expires_in,
        event=TerminalEvent(
            claim.session, claim.turn.turn, event.fragment(), claim.fence, pauses=True
        ),
        last_seq=top + 1,
    )


def settle(
    claim: Claim, outcome: Ended | Dead, *, now_ms: int, top: int, had_journal: bool = False
) -> Settlement:
    """Return how ``outcome`` is stored.

    Args:
        top: last seq of the log, after which the terminal event comes.
        had_journal: lines of a journal were written and have to go.
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
        had_journal=had_journal,
    )


def _told(outcome: Ended | Dead) -> tuple[str, EventData, dict[str, Any] | None]:
    if isinstance(outcome, Dead):
        why = "their worker died, or met a defect; its log says which"
        text = f"{outcome.attempts} attempts ended without an outcome: {why}"
        dead = TurnDead(code=DEAD_CODE, message=text, attempts=outcome.attempts)
        return "dead", dead, dead.model_dump(mode="json")
    event = ending(outcome)
    error = event.model_dump(mode="json") if isinstance(event, TurnFailed) else None
    return EVENT_TYPES[type(event)].removeprefix("turn."), event, error

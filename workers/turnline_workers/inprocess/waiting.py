"""What a session keeps of a turn that waits for an answer.  Values in, values out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from pydantic import JsonValue

from turnline_schemas.message import Message
from turnline_workers.interaction.journal import Entry
from turnline_workers.interaction.pause import Question
from turnline_workers.interaction.state import InteractionState, TurnState

PAUSE: Final = "pause"
"""Key of the private state that holds a paused turn."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A turn that waits, and what it has done already."""

    turn: str
    attempt: int
    input: Message
    context: dict[str, Any]
    entries: tuple[Entry, ...]
    pause: str
    """Token of the question."""
    answer_schema: Mapping[str, JsonValue]
    expires_at: datetime | None

    def is_over(self, now: datetime) -> bool:
        """Say whether it is too late to answer."""
        return self.expires_at is not None and now >= self.expires_at


def waiting_in(state: InteractionState) -> Waiting | None:
    """Return the turn that the session waits with; None if there is none."""
    kept = state.private.get(PAUSE)
    if kept is None:
        return None
    expires_at = kept.get("expires_at")
    return Waiting(
        turn=kept["turn"],
        attempt=kept["attempt"],
        input=Message.model_validate(kept["input"]),
        context=kept["context"],
        entries=tuple(Entry(each["kind"], each["id"], each["value"]) for each in kept["entries"]),
        pause=kept["pause"],
        answer_schema=kept["answer_schema"],
        expires_at=None if expires_at is None else datetime.fromisoformat(expires_at),
    )


def without_waiting(state: InteractionState) -> InteractionState:
    """Return the state as it was when the turn began."""
    private = {key: value for key, value in state.private.items() if key != PAUSE}
    return replace(state, private=private)


def with_waiting(
    turn: TurnState,
    question: Question,
    entries: Sequence[Entry],
    *,
    attempt: int,
    now: datetime,
) -> InteractionState:
    """Return the state that ``turn`` began with, and the turn as one that waits.

    Args:
        entries: what the turn has done already.
        now: with its time zone; the time that the question has begins here.
    """
    expires_at = None if question.expires_in is None else now + question.expires_in
    kept = {
        "turn": turn.turn,
        "attempt": attempt,
        "input": turn.input.model_dump(mode="json"),
        "context": turn.context,
        "entries": [{"kind": e.kind, "id": e.id, "value": e.value} for e in entries],
        **question.event().model_dump(mode="json"),
        "expires_at": None if expires_at is None else expires_at.isoformat(),
    }
    return replace(turn.state, private={**turn.state.private, PAUSE: kept})

"""The values that pass from inbox to mailbox, claim, log and outbox.  Values, and nothing else."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from turnline_schemas.event_data import EVENT_TYPES, EventData
from turnline_schemas.message import AnyMessage, Message
from turnline_workers.interaction.journal import Entry
from turnline_workers.interaction.state import InteractionState


@dataclass(frozen=True, slots=True)
class Arrival:
    """One readable entry of an inbox."""

    position: str
    message: AnyMessage


@dataclass(frozen=True, slots=True)
class LogEvent:
    """An event that has no number yet."""

    session: str
    turn: str
    attempt: int
    ts: int
    """Worker's clock in ms since 1970; for people, never used to order."""
    data: EventData

    def fragment(self) -> str:
        """Return its JSON from ``"session":`` on, to which the log adds the number in front."""
        envelope = {
            "session": self.session,
            "turn": self.turn,
            "attempt": self.attempt,
            "ts": self.ts,
            "type": EVENT_TYPES[type(self.data)],
            "data": self.data.model_dump(mode="json"),
        }
        return json.dumps(envelope, ensure_ascii=False, separators=(",", ":"))[1:]


@dataclass(frozen=True, slots=True)
class TerminalEvent:
    """The event that ends or pauses a turn, as it waits in the outbox until it is published."""

    session: str
    turn: str
    fragment: str
    """The event without its number, ready for the log."""
    fence: int | None
    """Of the claim that ended the turn; None if it was cancelled while it waited."""
    pauses: bool = False
    """The turn goes on later."""

    @property
    def played(self) -> bool:
        """Whether the turn had started."""
        return self.fence is not None

    def stored(self) -> dict[str, Any]:
        """Return what the outbox holds."""
        return {"fragment": self.fragment, "fence": self.fence, "pauses": self.pauses}


def outbox_event(session: str, turn: str, stored: dict[str, Any]) -> TerminalEvent:
    """Return the event that the outbox of a turn holds."""
    return TerminalEvent(
        session, turn, stored["fragment"], stored["fence"], stored.get("pauses", False)
    )


@dataclass(frozen=True, slots=True)
class ClaimedTurn:
    """The turn that a claim is for."""

    turn: str
    attempt: int
    """1 for the first try."""
    losses: int
    """Earlier attempts that took their worker down, or lost it."""
    message: Message
    context: dict[str, Any]
    assistant: str
    cancel_reason: str | None
    """Set if it was cancelled while no live worker had it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to play one turn of a session, with what was read under it."""

    session: str
    worker: str
    fence: int
    turn: ClaimedTurn
    state: InteractionState
    last_seq: int
    """Last seq that Postgres knows."""
    journal: tuple[Entry, ...] = ()
    """What earlier attempts at the turn have done."""
    unpublished: tuple[TerminalEvent, ...] = ()
    """Terminal events of earlier turns that must be published before this turn's first event."""

    @property
    def messages(self) -> int:
        """Length of the transcript before the turn."""
        return self.state.next_index - 1


@dataclass(frozen=True, slots=True)
class Accepted:
    """A turn that is now in the mailbox."""

    turn: str
    position: str
    not_before: datetime | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a readable message is not accepted."""

    reason: str
    """Stable slug."""
    detail: str


@dataclass(frozen=True, slots=True)
class Received:
    """What one receive found and did."""

    accepted: tuple[Accepted, ...] = ()
    """Turns to announce: new ones, and those that an earlier worker had no time to announce."""
    refused: dict[str, Refusal] = field(default_factory=dict)
    """Position -> why it is not accepted."""
    settled: tuple[TerminalEvent, ...] = ()
    """Turns that were cancelled while they waited."""
    nudges: tuple[str, ...] = ()
    """Turns being played that were asked to stop."""
    claim: Claim | None = None
    runnable: str | None = None
    """The turn that waits for a worker with a free slot, if one does."""
    last_seq: int = 0
    messages: int = 0


def position_key(position: str) -> tuple[int, int]:
    """Return what inbox entry ids are compared by (``<ms>-<seq>``)."""
    ms, _, seq = position.partition("-")
    return int(ms), int(seq or 0)

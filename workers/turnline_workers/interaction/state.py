"""The state a turn reads and replaces, and the view inside it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from pydantic import JsonValue

from turnline_schemas.event_data import Diagnostic, TraceEntry, Usage
from turnline_schemas.message import Message
from turnline_schemas.storable import check_storable
from turnline_workers.interaction.journal import Journal
from turnline_workers.interaction.pause import Desk
from turnline_workers.interaction.streams import TurnProgress


class ViewMessage(Message):
    """A message of the view, and where it stands in the transcript."""

    index: int | None = None
    """Place in the transcript, from 1; None for messages that a policy made up."""
    turn: str | None = None
    """The turn it belongs to.  Policies cut between turns, never inside one."""
    by: str | None = None
    """The policy that made it up, or changed it; None if it stands so in the transcript."""


@dataclass(frozen=True, slots=True)
class InteractionState:
    """What a session knows: the view that the model sees, and what must not reach it."""

    messages: tuple[ViewMessage, ...] = ()
    """The view: what the model sees of the transcript."""
    next_index: int = 1
    """Transcript index of the next message."""
    last_seq: int = 0
    """The newest event in it; what is not newer is ignored."""
    revision: int = 0
    """How often it was saved; a ``SessionStore`` refuses to save over a newer one."""
    diagnostics: tuple[Diagnostic, ...] = ()
    """Of the newest turn."""
    trace: tuple[TraceEntry, ...] = ()
    """Of the newest turn."""
    counted: tuple[int, int] = (0, 0)
    """While policies run: the tokens that the turn's last call of a model read and wrote, as its
    provider counted them, and a guess of the same by length.  Zeros if no provider told."""
    overflowed: bool = False
    """While policies run: a model has refused the view as too long, whatever a budget says."""
    progress: TurnProgress = field(default_factory=TurnProgress)
    """The turn that is being played, as far as it got."""
    private: dict[str, Any] = field(default_factory=dict)
    """Raw provider payloads and the like; never shown to a model, never published."""

    def progress_of(self, turn: str) -> TurnProgress:
        """Return how far ``turn`` got; nowhere, unless it is the one being played."""
        return self.progress if self.progress.turn == turn else TurnProgress(turn)

    def with_progress(self, turn: str, progress: TurnProgress) -> "InteractionState":
        """Return the state in which ``turn`` got further."""
        return replace(self, progress=replace(progress, turn=turn))

    def appended(self, turn: str, *messages: Message) -> "InteractionState":
        """Return the state with ``messages`` at the end of its view and of the transcript."""
        placed = tuple(
            ViewMessage(role=message.role, content=message.content, index=index, turn=turn)
            for index, message in enumerate(messages, start=self.next_index)
        )
        return replace(
            self,
            messages=self.messages + placed,
            next_index=self.next_index + len(placed),
        )


@dataclass(frozen=True, slots=True)
class StoredView:
    """A view as it is stored: what policies made, then the transcript from an index on.

    Appending to the transcript appends to the view without writing it again, so that a turn
    costs the same at the ten-thousandth message as at the tenth.
    """

    head: tuple[ViewMessage, ...]
    start: int
    """Transcript index from which the view is the transcript itself."""


def stored_view(state: InteractionState) -> StoredView:
    """Split ``state``'s view into its head and the longest tail that is plain transcript."""
    start = state.next_index
    kept = len(state.messages)
    while kept and _is_plain(state.messages[kept - 1], start - 1):
        start -= 1
        kept -= 1
    return StoredView(head=state.messages[:kept], start=start)


def _is_plain(message: ViewMessage, index: int) -> bool:
    return message.index == index and message.by is None


@dataclass(frozen=True, slots=True)
class Run:
    """What one attempt has of the world."""

    journal: Journal = field(default_factory=Journal)
    """What earlier attempts have done."""
    clock: Callable[[], float] = field(default=lambda: 0.0)
    """Seconds, for durations only."""


@dataclass(frozen=True, slots=True)
class TurnState:
    """A turn on its way through the pipeline."""

    turn: str
    input: Message
    context: dict[str, Any]
    state: InteractionState
    """The session as it is by now, with what the turn has said so far."""
    session: str = ""
    usage: Usage = field(default_factory=Usage)
    """Tokens used so far."""
    finish_reason: str = ""
    added: tuple[Message, ...] = ()
    """What the running step adds, and no event has told yet."""
    desk: Desk = field(default_factory=Desk, compare=False, repr=False)
    """Where the running step asks."""
    run: Run = field(default_factory=Run, compare=False, repr=False)

    @property
    def messages(self) -> tuple[Message, ...]:
        """What the turn adds to the transcript, so far."""
        own = len(self.state.progress_of(self.turn).places)
        return (*self.state.messages[len(self.state.messages) - own :], *self.added)

    @property
    def view(self) -> tuple[Message, ...]:
        """What a model called now would see."""
        return (*self.state.messages, *self.added)

    def part(self, number: int) -> str:
        """Return the derived id of the so-manieth thing that the running step tells of."""
        return f"{self.desk.id}.{number}"

    def adding(self, *messages: Message) -> "TurnState":
        """Return the turn with more messages.

        Raises:
            ValueError: they hold what cannot be stored.
        """
        check_storable(messages)
        return replace(self, added=self.added + messages)

    def keeping(self, **private: Any) -> "TurnState":
        """Return the turn with changes to the private state, which no model and no reader sees.

        Raises:
            ValueError, TypeError: they are no JSON, or hold what cannot be stored.
        """
        check_storable(private)
        json.dumps(private)
        state = replace(self.state, private={**self.state.private, **private})
        return replace(self, state=state)

    def ask(
        self,
        kind: str,
        payload: JsonValue = None,
        *,
        schema: Mapping[str, Any] | None = None,
        expires_in: timedelta | None = None,
    ) -> Any:
        """Return a person's answer; the turn pauses until there is one (see ``Desk.ask``)."""
        return self.desk.ask(kind, payload, schema=schema, expires_in=expires_in)

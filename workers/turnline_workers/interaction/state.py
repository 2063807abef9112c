"""The state a turn reads and replaces, and the view inside it."""

from dataclasses import dataclass, field, replace
from typing import Any

from turnline_schemas.event import Usage
from turnline_schemas.message import Message


class ViewMessage(Message):
    """A message of the view, and where it stands in the transcript."""

    index: int | None = None
    """Place in the transcript, from 1; None for messages that a policy made up."""
    turn: str | None = None
    """The turn it belongs to.  Policies cut between turns, never inside one."""


@dataclass(frozen=True, slots=True)
class InteractionState:
    """What a session knows: the view that the model sees, and what must not reach it."""

    messages: tuple[ViewMessage, ...] = ()
    """The view: what the model sees of the transcript."""
    next_index: int = 1
    """Transcript index of the next message."""
    private: dict[str, Any] = field(default_factory=dict)
    """Raw provider payloads and the like; never shown to a model, never published."""

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
    while kept and state.messages[kept - 1].index == start - 1:
        start -= 1
        kept -= 1
    return StoredView(head=state.messages[:kept], start=start)


@dataclass(frozen=True, slots=True)
class TurnState:
    """A turn on its way through the pipeline."""

    turn: str
    input: Message
    context: dict[str, Any]
    state: InteractionState
    """The session as it was before the turn."""
    messages: tuple[Message, ...] = ()
    """What the turn adds to the transcript, so far."""
    usage: Usage = field(default_factory=Usage)
    finish_reason: str = "stop"

    @property
    def view(self) -> tuple[Message, ...]:
        """What a model called now would see."""
        return (*self.state.messages, *self.messages)

    def adding(self, *messages: Message) -> "TurnState":
        """Return the turn with more messages."""
        return replace(self, messages=self.messages + messages)

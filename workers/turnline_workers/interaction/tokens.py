"""How many tokens a view has: as the provider counted them, or by a guess."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from turnline_schemas.message import Message
from turnline_workers.interaction.state import InteractionState

TokenCount = Callable[[Message], int]
"""A tokenizer: tokens of one message."""

BYTES_PER_TOKEN = 4
"""Of UTF-8: about four letters of English, two of Cyrillic, one and a half of Chinese."""

FRAME = 4
"""Tokens around a message: its role, its begin and its end."""

DENSEST, THINNEST = 3.0, 0.5
"""How far tokenizers differ from the guess.  What is beyond is no text of the view, but what is
sent with it: instructions and tools."""


@dataclass(frozen=True, slots=True)
class Ruler:
    """Measures messages of one view."""

    count: TokenCount
    density: float = 1.0
    overhead: int = 0
    """Tokens of what is sent beside the view."""

    def __call__(self, messages: Iterable[Message]) -> int:
        """Return how many tokens the messages have."""
        return round(self.density * sum(self.count(message) for message in messages))


def ruler(state: InteractionState, count: TokenCount | None) -> Ruler:
    """Return what measures the view of ``state``.

    A provider tells with each call how many tokens it read and wrote.  That is what the view has
    by now, so a guess by length is corrected by it.

    Args:
        count: a tokenizer to trust instead.
    """
    if count is not None:
        return Ruler(count)
    used, guess = state.counted
    if not used or not guess:
        return Ruler(guessed_tokens)
    density = min(max(used / guess, THINNEST), DENSEST)
    return Ruler(guessed_tokens, density, max(0, round(used - density * guess)))


def with_count(state: InteractionState) -> InteractionState:
    """Return the state with ``counted`` set: the view is what the turn's last call has left."""
    for entry in reversed(state.trace):
        if entry.kind == "model" and entry.usage is not None:
            guess = sum(guessed_tokens(message) for message in state.messages)
            return replace(state, counted=(entry.usage.input + entry.usage.output, guess))
    return state


def guessed_tokens(message: Message) -> int:
    """Return about how many tokens a message has, by its length."""
    return FRAME + len(text_of(message).encode()) // BYTES_PER_TOKEN


def text_of(message: Message) -> str:
    """Return all that a model reads of a message, as text."""
    content = message.content
    return content if isinstance(content, str) else content.model_dump_json(exclude={"raw", "text"})

"""What a model is to Turnline: one call in, a stream of parts out."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from turnline_schemas.event import Usage
from turnline_schemas.message import Message


@dataclass(frozen=True, slots=True)
class ModelCall:
    """All that a model is told."""

    messages: tuple[Message, ...]
    instructions: str
    turn: str
    context: dict[str, Any] = field(default_factory=dict)
    """The turn's context.  Models of providers ignore it; the offline one is steered by it."""


@dataclass(frozen=True, slots=True)
class Delta:
    """More text, or more reasoning."""

    text: str
    kind: Literal["text", "reasoning"] = "text"


@dataclass(frozen=True, slots=True)
class End:
    """The model is done.  The last thing in a stream."""

    finish_reason: str = "stop"
    usage: Usage = field(default_factory=Usage)


class Model(Protocol):
    """An adapter to one model."""

    @property
    def name(self) -> str:
        """How the model is called in events."""
        ...

    def stream(self, call: ModelCall) -> AsyncIterator[Delta | End]:
        """Answer ``call``, piece by piece, with one ``End`` last.

        Raises:
            ModelError: the model failed; what was streamed so far is kept as partial output.
        """
        ...

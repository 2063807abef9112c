"""What a model is to Turnline: one call in, a stream of pieces out."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from pydantic import JsonValue

from turnline_schemas.event_data import Usage
from turnline_schemas.message import Message


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """What a model is told of a tool."""

    name: str
    description: str
    parameters: dict[str, Any]
    """JSON schema of the arguments, an object."""


@dataclass(frozen=True, slots=True)
class ModelCall:
    """All that a model is told."""

    messages: tuple[Message, ...]
    instructions: str
    turn: str
    context: dict[str, Any] = field(default_factory=dict)
    """The turn's context.  Models of providers ignore it; the offline one is steered by it."""
    tools: tuple[ToolSpec, ...] = ()
    raw: JsonValue = None
    """``End.raw`` of this model's newest answer in the session."""


@dataclass(frozen=True, slots=True)
class Delta:
    """More text, or more reasoning."""

    text: str
    kind: Literal["text", "reasoning"] = "text"


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """More of a tool call."""

    index: int
    """Which call of this answer, from 0."""
    name: str = ""
    """Set in the first piece of a call."""
    arguments: str = ""
    """A piece of JSON text."""


@dataclass(frozen=True, slots=True)
class End:
    """The model is done.  The last thing in a stream; one without it was cut off."""

    finish_reason: str = "stop"
    usage: Usage = field(default_factory=Usage)
    raw: JsonValue = None
    """What the provider sent, for ``state.private``: given back to the same model with its next
    call; no reader sees it."""
    raw_usage: JsonValue = None
    """The provider's own count, such as of cached tokens."""


ModelItem = Delta | ToolCallDelta | End


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One whole call of a tool, as a model without streams gives it."""

    name: str
    arguments: str
    """JSON text."""


@dataclass(frozen=True, slots=True)
class Generated:
    """One whole answer, as a model without streams gives it."""

    text: str = ""
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()
    end: End = field(default_factory=End)


class Model(Protocol):
    """An adapter to one model that streams."""

    @property
    def name(self) -> str:
        """How the model is called in events."""
        ...

    def stream(self, call: ModelCall) -> AsyncIterator[ModelItem]:
        """Answer ``call``, piece by piece, with one ``End`` last.

        Raises:
            ModelError: the model failed; what was streamed so far is kept as partial output.
        """
        ...


class WholeModel(Protocol):
    """An adapter to one model that gives its answer at once."""

    @property
    def name(self) -> str:
        """How the model is called in events."""
        ...

    async def generate(self, call: ModelCall) -> Generated:
        """Answer ``call``.

        Raises:
            ModelError: the model failed.
        """
        ...


def stream_of(model: Model | WholeModel, call: ModelCall) -> AsyncIterator[ModelItem]:
    """Return the model's stream; made up from the whole answer if it has none."""
    stream = getattr(model, "stream", None)
    if stream is not None:
        return stream(call)  # type: ignore[no-any-return]
    return _synthesized(model, call)  # type: ignore[arg-type]


async def _synthesized(model: WholeModel, call: ModelCall) -> AsyncIterator[ModelItem]:
    answer = await model.generate(call)
    if answer.reasoning:
        yield Delta(answer.reasoning, "reasoning")
    if answer.text:
        yield Delta(answer.text)
    for index, each in enumerate(answer.calls):
        yield ToolCallDelta(index, each.name, each.arguments)
    yield answer.end

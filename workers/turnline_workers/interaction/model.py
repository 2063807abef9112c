"""What a model is to Turnline: one call in, a stream of pieces out."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from pydantic import JsonValue

from turnline_schemas.event_data import Usage
from turnline_schemas.message import Message
from turnline_workers.errors import ModelError
from turnline_workers.interaction.foreign import called


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


NOTHING: Final = Delta("")


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


async def pieces_of(
    model: Model | WholeModel, call: ModelCall, silence: float
) -> AsyncGenerator[ModelItem]:
    """Yield the model's answer up to its end; a whole answer is cut into pieces.

    The model's stream is closed whenever this one is, which ends the provider's request.

    Args:
        silence: seconds without any piece after which the model has failed.

    Raises:
        ModelError: the model failed, fell silent, or broke off.
    """
    stream = getattr(model, "stream", None)
    pieces = _synthesized(model, call) if stream is None else stream(call)  # type: ignore[arg-type]
    clock, waited = asyncio.get_running_loop().time, 0.0
    try:
        while True:
            begin = clock()
            item = await _next(pieces, model.name, silence, waited)
            if item is None:
                break
            # A piece with nothing in it is no sign of life.
            waited = waited + clock() - begin if item == NOTHING else 0.0
            yield item
            if isinstance(item, End):
                return
    finally:
        close = getattr(pieces, "aclose", None)
        if close is not None:
            await close()
    raise ModelError(f"the stream of {model.name} was cut off", transient=True)


async def _next(
    pieces: AsyncIterator[ModelItem], source: str, silence: float, waited: float
) -> ModelItem | None:
    try:
        async with asyncio.timeout(silence - waited) as limit:
            return await anext(pieces, None)
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise ModelError(f"{source} said nothing for {silence:g} s", transient=True) from error


async def _synthesized(model: WholeModel, call: ModelCall) -> AsyncGenerator[ModelItem]:
    answer: Generated = await called(model.generate, call)
    if answer.reasoning:
        yield Delta(answer.reasoning, "reasoning")
    if answer.text:
        yield Delta(answer.text)
    for index, each in enumerate(answer.calls):
        yield ToolCallDelta(index, each.name, each.arguments)
    yield answer.end

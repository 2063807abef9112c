"""The core pack: capture the input, run the model."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace

from turnline_schemas.event import (
    EventData,
    ReasoningCompleted,
    ReasoningDelta,
    ReasoningStarted,
    StepCompleted,
    StepStarted,
    TextCompleted,
    TextDelta,
    TextStarted,
)
from turnline_workers.interaction.assemble import Assembler
from turnline_workers.interaction.model import Delta, End, Model, ModelCall
from turnline_workers.interaction.pipeline import Pack, Step
from turnline_workers.interaction.state import TurnState

RUN_MODEL_INDEX = 1
"""Number of the model's step inside a turn, as it stands in derived ids."""

_EVENTS = {
    "text": (TextStarted, TextDelta, TextCompleted),
    "reasoning": (ReasoningStarted, ReasoningDelta, ReasoningCompleted),
}


def core_pack(model: Model, instructions: str) -> Pack:
    """Return the pack that every assistant has."""

    async def run_model(turn: TurnState) -> AsyncIterator[EventData | TurnState]:
        step = f"{turn.turn}.{RUN_MODEL_INDEX}"
        call = ModelCall(turn.view, instructions, turn.turn, turn.context)
        answer, end = Assembler(), End()
        yield StepStarted(step=step, name="run-model")
        async with aclosing(_answer(model, call, step)) as items:
            async for item in items:
                if isinstance(item, End):
                    end = item
                    continue
                answer.feed(item)
                yield item
        yield StepCompleted(step=step, name="run-model")
        message = answer.message()
        ended = replace(turn, usage=end.usage, finish_reason=end.finish_reason)
        yield ended.adding(message) if message else ended

    return Pack(
        "core",
        (
            Step("capture-input", capture_input),
            Step("run-model", run_model, depends_on=("capture-input",)),
        ),
    )


def capture_input(turn: TurnState) -> TurnState:
    """Make the user's message part of the conversation."""
    return turn.adding(turn.input)


async def _answer(model: Model, call: ModelCall, step: str) -> AsyncGenerator[EventData | End]:
    """Turn a model's deltas into events of parts: a part lasts while the kind stays the same."""
    kind, index = "", -1
    stream = model.stream(call)
    try:
        async for item in stream:
            if isinstance(item, End):
                if kind:
                    yield _EVENTS[kind][2](part=f"{step}.{index}")
                yield item
                return
            for event in _events_of(item, kind, index, step):
                yield event
            if _clean(item.text) and item.kind != kind:
                kind, index = item.kind, index + 1
        if kind:
            yield _EVENTS[kind][2](part=f"{step}.{index}")
    finally:
        # Closing the stream ends the provider's request when a turn ends early.
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()


def _events_of(item: Delta, kind: str, index: int, step: str) -> list[EventData]:
    text = _clean(item.text)
    if not text:
        return []
    started, delta, _ = _EVENTS[item.kind]
    if item.kind == kind:
        return [delta(part=f"{step}.{index}", delta=text)]
    part = f"{step}.{index + 1}"
    closing: list[EventData] = [_EVENTS[kind][2](part=f"{step}.{index}")] if kind else []
    return [*closing, started(part=part), delta(part=part, delta=text)]


def _clean(text: str) -> str:
    """Postgres cannot store NUL nor lone surrogates, and the stored must equal the streamed."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()

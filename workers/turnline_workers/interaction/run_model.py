"""The step that calls the model: from its stream to events, again after a passing failure."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from pydantic import JsonValue

from turnline_schemas.errors import ConfigurationError
from turnline_schemas.event_data import (
    Diagnostic,
    EventData,
    ReasoningCompleted,
    ReasoningDelta,
    ReasoningStarted,
    StepReset,
    TextCompleted,
    TextDelta,
    TextStarted,
    ToolDelta,
    ToolReady,
    ToolStarted,
    TraceEntry,
)
from turnline_schemas.storable import check_storable, storable
from turnline_workers.errors import ModelError
from turnline_workers.interaction.model import (
    Delta,
    End,
    Model,
    ModelCall,
    ToolCallDelta,
    ToolSpec,
    WholeModel,
    pieces_of,
)
from turnline_workers.interaction.raw import raw_of, with_raw
from turnline_workers.interaction.state import TurnState
from turnline_workers.interaction.usage import plus
from turnline_workers.interaction.view import repaired

ModelStep = Callable[[TurnState], AsyncGenerator[EventData | TurnState | TraceEntry]]

_TEXT = {
    "text": (TextStarted, TextDelta, TextCompleted),
    "reasoning": (ReasoningStarted, ReasoningDelta, ReasoningCompleted),
}


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a call of the model is tried, and how long to wait between two tries."""

    tries: int = 4
    first: float = 0.5
    """Seconds before the second try; twice as long before each later one."""
    longest: float = 20.0
    """Seconds.  A provider that asks for more fails the turn."""
    silence: float = 120.0
    """Seconds without any piece of an answer, after which a try has failed."""
    within: float = 300.0
    """Seconds since the first try, after which no other one begins."""

    def __post_init__(self) -> None:
        if self.tries < 1 or not self.silence > 0 or min(self.first, self.longest, self.within) < 0:
            raise ConfigurationError(f"{self}: at least one try, and no times below zero")

    def pause(self, tried: int, error: ModelError, spent: float) -> float | None:
        """Return how long to wait after ``tried`` tries in ``spent`` seconds; None to give up."""
        if not error.retryable or tried >= self.tries:
            return None
        wished = error.retry_after or 0.0
        if wished > self.longest:
            return None
        pause = min(max(self.first * 2.0 ** (tried - 1), wished), self.longest)
        return pause if spent + pause <= self.within else None


def model_step(
    model: Model | WholeModel, instructions: str, tools: tuple[ToolSpec, ...], retry: Retry
) -> ModelStep:
    """Return the step that calls ``model``."""

    async def run_model(
        turn: TurnState,
    ) -> AsyncGenerator[EventData | TurnState | TraceEntry]:
        step = turn.desk.id
        messages, problems = repaired(turn.view)
        for problem in problems:
            yield Diagnostic(code="view_repaired", message=problem)
        call = ModelCall(
            messages, instructions, turn.turn, turn.context, tools, raw_of(turn.state, model.name)
        )
        tried, begun = 0, turn.run.clock()
        while True:
            tried += 1
            answer, began = _Answer(step), turn.run.clock()
            try:
                async with aclosing(_events(model, call, answer, retry.silence)) as events:
                    async for event in events:
                        yield event
                break
            except ModelError as error:
                yield _traced(turn, model.name, began, error=error.code)
                pause = retry.pause(tried, error, turn.run.clock() - begun)
                if pause is None:
                    raise
                told = f"try {tried} of {retry.tries} failed: {error}; again in {pause:g} s"
                yield Diagnostic(code="model_retry", message=told)
                if answer.said:
                    yield StepReset(step=step, reason=error.code)
                await asyncio.sleep(pause)
        if not answer.said:
            told = f"{model.name} ended ({answer.end.finish_reason}) and said nothing"
            yield Diagnostic(code="empty_answer", message=storable(told))
        yield _traced(turn, model.name, began, usage=answer.end.usage)
        yield _ended(turn, model.name, answer.end)

    return run_model


def _traced(turn: TurnState, model: str, began: float, **more: Any) -> TraceEntry:
    took = round((turn.run.clock() - began) * 1000)
    return TraceEntry(kind="model", id=turn.desk.id, name=model, duration_ms=took, **more)


def _ended(turn: TurnState, source: str, end: End) -> TurnState:
    return replace(
        turn,
        state=with_raw(turn.state, source, raw=end.raw, usage=end.raw_usage),
        usage=plus(turn.usage, end.usage),
        finish_reason=storable(end.finish_reason),
    )


async def _events(
    model: Model | WholeModel, call: ModelCall, answer: "_Answer", silence: float
) -> AsyncGenerator[EventData]:
    async with aclosing(pieces_of(model, call, silence)) as pieces:
        async for item in pieces:
            for event in answer.events(item):
                yield event


class _Answer:
    """Cuts one stream into parts, each with its derived id."""

    def __init__(self, step: str) -> None:
        self._step = step
        self._parts = 0
        self._open = ""
        """Kind of the text part that is open."""
        self._calls: dict[int, _Call] = {}
        self.end = End()

    @property
    def said(self) -> bool:
        """Whether readers have seen anything of it."""
        return self._parts > 0

    def events(self, item: Delta | ToolCallDelta | End) -> list[EventData]:
        """Return what readers are told of the next piece."""
        match item:
            case End():
                self.end = item
                return [*self._closed(), *[call.ready() for call in self._calls.values()]]
            case ToolCallDelta():
                return self._calling(item)
            case _:
                return self._saying(item)

    def _saying(self, item: Delta) -> list[EventData]:
        text = storable(item.text)
        if not text:
            return []
        started, delta, _ = _TEXT[item.kind]
        events: list[EventData] = []
        if item.kind != self._open:
            events += self._closed()
            self._open = item.kind
            self._parts += 1
            events.append(started(part=self._part()))
        events.append(delta(part=self._part(), delta=text))
        return events

    def _calling(self, item: ToolCallDelta) -> list[EventData]:
        events: list[EventData] = []
        call = self._calls.get(item.index)
        if call is None:
            events += self._closed()
            self._parts += 1
            call = self._calls[item.index] = _Call(self._part(), storable(item.name))
            events.append(ToolStarted(call=call.id, name=call.name))
        if item.arguments:
            call.pieces.append(storable(item.arguments))
            events.append(ToolDelta(call=call.id, delta=call.pieces[-1]))
        return events

    def _closed(self) -> list[EventData]:
        if not self._open:
            return []
        completed = _TEXT[self._open][2]
        self._open = ""
        return [completed(part=self._part())]

    def _part(self) -> str:
        return f"{self._step}.{self._parts - 1}"


class _Call:
    """A tool call that is being written."""

    def __init__(self, id_: str, name: str) -> None:
        self.id = id_
        self.name = name
        self.pieces: list[str] = []

    def ready(self) -> ToolReady:
        """Return the event that it is complete; no JSON at all means no arguments."""
        text = "".join(self.pieces)
        arguments: JsonValue = {}
        if text.strip():
            try:
                arguments = json.loads(text, parse_constant=_no_number)
                check_storable(arguments)
            except (ValueError, RecursionError):
                arguments = text
        return ToolReady(call=self.id, name=self.name, arguments=arguments)


def _no_number(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")

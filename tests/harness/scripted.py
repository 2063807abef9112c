"""A model that says what a test tells it to, call by call."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

from turnline_schemas.event_data import EventData, Usage
from turnline_schemas.message import Message
from turnline_workers.interaction.assistant import Assistant
from turnline_workers.interaction.journal import Entry, Journal, Record
from turnline_workers.interaction.model import Delta, End, ModelCall, ModelItem, ToolCallDelta
from turnline_workers.interaction.outcome import Outcome
from turnline_workers.interaction.play import play
from turnline_workers.interaction.state import InteractionState, Run, TurnState

USED = End(usage=Usage(input=3, output=2))


def says(*texts: str) -> list[ModelItem | Exception]:
    """Return an answer of text."""
    return [*[Delta(text) for text in texts], USED]


def calls(*wanted: tuple[str, str]) -> list[ModelItem | Exception]:
    """Return an answer that calls tools: name and JSON arguments."""
    pieces = [ToolCallDelta(index, name, text) for index, (name, text) in enumerate(wanted)]
    return [*pieces, USED]


Answer = Sequence[ModelItem | Exception]


class ScriptedModel:
    """Gives its answers one after another, or as ``reply`` says, and notes its calls."""

    name = "scripted"

    def __init__(
        self, *answers: Answer, reply: Callable[[ModelCall], Answer] | None = None
    ) -> None:
        self.answers = list(answers)
        self.reply = reply
        self.calls: list[ModelCall] = []

    async def stream(self, call: ModelCall) -> AsyncIterator[ModelItem]:
        """Yield the next answer."""
        self.calls.append(call)
        answer = self.reply(call) if self.reply else self.answers[len(self.calls) - 1]
        for item in answer:
            if isinstance(item, Exception):
                raise item
            yield item


class Attempts:
    """Plays one turn, attempt by attempt, with the journal that is left of earlier ones."""

    def __init__(self, assistant: Assistant, state: InteractionState | None = None) -> None:
        self.assistant = assistant
        said = Message(role="user", content="Hello!")
        self.turn = TurnState("t", said, {}, state or InteractionState())
        self.entries: list[Entry] = []
        self.events: list[EventData] = []
        """Of the last attempt."""

    def play(self, *, dies_at: int | None = None) -> Outcome | None:
        """Play an attempt; it may die after so many items, which gives no outcome."""
        return asyncio.run(self._play(dies_at))

    def answer(self, pause: str, value: object) -> None:
        """Note what somebody answered."""
        self.entries.append(Entry("answer", pause, value))  # type: ignore[arg-type]

    async def _play(self, dies_at: int | None) -> Outcome | None:
        turn = replace(self.turn, run=Run(Journal(self.entries)))
        self.events, count = [], 0
        items = play(self.assistant, turn)
        try:
            async for item in items:
                if count == dies_at:
                    return None
                count += 1
                if isinstance(item, EventData):
                    self.events.append(item)
                elif isinstance(item, Record):
                    self.entries.extend(item.entries)
                else:
                    return item
        finally:
            await items.aclose()
        raise AssertionError("no outcome")

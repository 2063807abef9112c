"""Playing a turn, without any queue: state and message in; events, and one outcome, out."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from turnline_schemas.event_data import EventData, TextDelta, TurnStarted
from turnline_schemas.message import Message
from turnline_workers.errors import ModelError
from turnline_workers.interaction.assistant import Assistant
from turnline_workers.interaction.model import Delta, End, ModelCall
from turnline_workers.interaction.outcome import Cancelled, Completed, Failed, Outcome
from turnline_workers.interaction.pipeline import Pack, Step
from turnline_workers.interaction.play import play
from turnline_workers.interaction.policies import Policies
from turnline_workers.interaction.state import (
    InteractionState,
    TurnState,
    ViewMessage,
    stored_view,
)


class Scripted:
    """A model that says what it is told, and notes whether its stream was closed."""

    name = "scripted"

    def __init__(
        self, *items: Delta | End | Exception, then: "asyncio.Event | None" = None
    ) -> None:
        self.items = items
        self.then = then
        self.closed = False

    async def stream(self, call: ModelCall) -> AsyncIterator[Delta | End]:
        """Yield the items; wait for ``then`` after them."""
        try:
            for item in self.items:
                if isinstance(item, Exception):
                    raise item
                yield item
            if self.then is not None:
                await self.then.wait()
        finally:
            self.closed = True


def a_turn(text: str = "Hello!", state: InteractionState | None = None) -> TurnState:
    """A turn to play."""
    said = Message(role="user", content=text)
    return TurnState("t", said, {}, state or InteractionState())


def played(assistant: Assistant, turn: TurnState | None = None) -> tuple[list[EventData], Outcome]:
    """Play to the end; return events and outcome."""

    async def run() -> list[EventData | Outcome]:
        return [item async for item in play(assistant, turn or a_turn())]

    *events, outcome = asyncio.run(run())
    assert isinstance(outcome, Completed | Failed | Cancelled)
    return [event for event in events if isinstance(event, EventData)], outcome


def answers(outcome: Outcome) -> list[str]:
    """The text of each message that the turn leaves."""
    return [message.text for message in outcome.messages]


def test_a_turn_streams_its_answer_and_leaves_both_messages() -> None:
    events, outcome = played(Assistant(Scripted(Delta("Hi"), Delta(" there"), End())))

    assert isinstance(outcome, Completed)
    assert answers(outcome) == ["Hello!", "Hi there"]
    assert isinstance(events[0], TurnStarted)
    assert [event.delta for event in events if isinstance(event, TextDelta)] == ["Hi", " there"]


def test_ids_inside_events_are_the_same_each_time() -> None:
    assistant = Assistant(Scripted(Delta("hm", "reasoning"), Delta("Hi"), End()))

    assert played(assistant)[0] == played(assistant)[0]


def test_a_model_that_fails_leaves_what_it_said_until_then() -> None:
    model = Scripted(Delta("Half an ans"), ModelError("gone"))

    _, outcome = played(Assistant(model))

    assert isinstance(outcome, Failed)
    assert outcome.code == "model_error"
    assert answers(outcome) == ["Hello!", "Half an ans"]
    assert model.closed


@pytest.mark.parametrize("problem", [ValueError("no"), SystemExit(3)], ids=["error", "exit"])
def test_a_step_that_raises_fails_the_turn_and_is_named(problem: BaseException) -> None:
    def breaks(turn: TurnState) -> TurnState:
        raise problem

    pack = Pack("mine", (Step("breaks", breaks, depends_on=("core.capture-input",)),))

    _, outcome = played(Assistant(Scripted(Delta("Hi"), End()), packs=(pack,)))

    assert isinstance(outcome, Failed)
    assert outcome.code == "step_error"
    assert "'mine.breaks' raised" in outcome.message


def test_a_step_that_returns_something_else_fails_the_turn() -> None:
    pack = Pack("mine", (Step("wrong", lambda turn: None, priority=9),))  # type: ignore[arg-type, return-value]

    _, outcome = played(Assistant(Scripted(End()), packs=(pack,)))

    assert isinstance(outcome, Failed)
    assert "returned NoneType" in outcome.message
    assert answers(outcome) == ["Hello!"]


def test_plain_and_coroutine_steps_both_run() -> None:
    async def later(turn: TurnState) -> TurnState:
        return turn.adding(Message(role="assistant", content="later"))

    def plain(turn: TurnState) -> TurnState:
        return turn.adding(Message(role="assistant", content="plain"))

    steps = (
        Step("plain", plain, depends_on=("core.run-model",)),
        Step("later", later, depends_on=("plain",)),
    )

    _, outcome = played(Assistant(Scripted(Delta("Hi"), End()), packs=(Pack("mine", steps),)))

    assert answers(outcome) == ["Hello!", "Hi", "plain", "later"]


async def _cancelled_when(reached: Callable[[EventData | Outcome], bool]) -> tuple[Outcome, bool]:
    """Play with a model that never ends, and cancel once ``reached`` says so."""
    reason: list[str] = []
    model = Scripted(Delta("So far"), then=asyncio.Event())
    seen: list[EventData | Outcome] = []
    ready = asyncio.Event()

    async def run() -> None:
        turn = a_turn()
        async for item in play(
            Assistant(model), turn, cancelled=lambda: reason[0] if reason else None
        ):
            seen.append(item)
            if reached(item):
                ready.set()

    task = asyncio.create_task(run())
    await ready.wait()
    reason.append("enough")
    task.cancel()
    await asyncio.wait([task])
    assert isinstance(seen[-1], Completed | Failed | Cancelled)
    return seen[-1], model.closed


def test_a_cancelled_turn_keeps_what_was_streamed_and_closes_the_model() -> None:
    outcome, closed = asyncio.run(_cancelled_when(lambda item: isinstance(item, TextDelta)))

    assert isinstance(outcome, Cancelled)
    assert outcome.reason == "enough"
    assert answers(outcome) == ["Hello!", "So far"]
    assert closed


def test_policies_run_in_order_on_completed_turns_only() -> None:
    ran: list[str] = []

    def merge(previous: InteractionState, new: InteractionState) -> InteractionState:
        ran.append("merge")
        return new

    async def summarize(state: InteractionState) -> InteractionState:
        ran.append("summarize")
        return state

    def truncate(state: InteractionState) -> InteractionState:
        ran.append("truncate")
        return state

    policies = Policies(merge=merge, summarize=summarize, truncate=truncate)

    played(Assistant(Scripted(Delta("Hi"), End()), policies=policies))
    played(Assistant(Scripted(ModelError("no")), policies=policies))

    assert ran == ["merge", "summarize", "truncate"]


def test_a_policy_that_raises_fails_the_turn_and_keeps_the_answer() -> None:
    def truncate(state: InteractionState) -> InteractionState:
        raise ValueError("no")

    assistant = Assistant(Scripted(Delta("Hi"), End()), policies=Policies(truncate=truncate))

    _, outcome = played(assistant)

    assert isinstance(outcome, Failed)
    assert answers(outcome) == ["Hello!", "Hi"]


def a_state(messages: int) -> InteractionState:
    """A state whose view is the whole transcript."""
    said = [Message(role="user", content=str(number)) for number in range(messages)]
    return InteractionState().appended("t", *said)


def test_a_view_that_is_the_transcript_is_stored_as_its_start() -> None:
    stored = stored_view(a_state(1000))

    assert (stored.head, stored.start) == ((), 1)


def test_a_truncated_view_is_stored_as_its_start() -> None:
    state = a_state(10)
    shorter = InteractionState(messages=state.messages[6:], next_index=state.next_index)

    stored = stored_view(shorter)

    assert (stored.head, stored.start) == ((), 7)


def test_what_a_policy_made_up_is_stored_and_the_rest_is_not() -> None:
    state = a_state(10)
    summary = ViewMessage(role="system", content="They counted.")
    shorter = InteractionState(messages=(summary, *state.messages[8:]), next_index=state.next_index)

    stored = stored_view(shorter)

    assert (stored.head, stored.start) == ((summary,), 9)


def test_an_empty_view_is_stored_as_its_end() -> None:
    stored = stored_view(InteractionState(messages=(), next_index=11))

    assert (stored.head, stored.start) == ((), 11)

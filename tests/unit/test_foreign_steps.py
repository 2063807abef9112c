"""What users' steps, policies and models may do without harm to anything but their turn."""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from harness.scripted import Answer, Attempts, ScriptedModel, says
from harness.wicked import cancelled_inside, same

from turnline_schemas.event_data import Diagnostic
from turnline_schemas.message import Message
from turnline_workers import Assistant, Pack, Step, TurnState
from turnline_workers import policies as ready
from turnline_workers.errors import ContextOverflowError, ModelError
from turnline_workers.interaction.model import Delta, End, Generated, ModelCall, ModelItem
from turnline_workers.interaction.outcome import Completed, Failed
from turnline_workers.interaction.policies import Policies
from turnline_workers.interaction.run_model import Retry
from turnline_workers.interaction.state import InteractionState


async def yields_garbage(turn: TurnState) -> AsyncIterator[Any]:
    """Yield what is no event."""
    yield 42


async def cancels(turn: TurnState) -> TurnState:
    """Await something that was cancelled."""
    await cancelled_inside()
    return turn


def adds_nul(turn: TurnState) -> TurnState:
    """Add what cannot be stored."""
    return turn.adding(Message(role="assistant", content="\x00"))


def keeps_object(turn: TurnState) -> TurnState:
    """Keep what is no JSON."""
    return turn.keeping(x=object())


def says_nul(turn: TurnState) -> TurnState:
    """Fail with what cannot be stored."""
    raise ValueError("\x00")


def exits(turn: TurnState) -> TurnState:
    """End the process, if it could."""
    sys.exit(1)


@pytest.mark.parametrize(
    "run", [yields_garbage, cancels, adds_nul, keeps_object, says_nul, exits, lambda turn: None]
)
def test_a_step_that_does_wrong_fails_its_turn_and_nothing_else(run: Any) -> None:
    packs = [Pack("mine", (Step("wrong", run, depends_on=("core.run-model",)),))]
    outcome = Attempts(Assistant(ScriptedModel(says("Hi")), packs=packs)).play()

    assert isinstance(outcome, Failed)
    assert outcome.code == "step_error"
    assert "\x00" not in outcome.message
    assert outcome.messages[-1].text == "Hi"


def test_a_condition_that_raises_fails_its_turn() -> None:
    step = Step("maybe", same, when=lambda turn: 1 / 0 > 0)
    outcome = Attempts(Assistant(ScriptedModel(says("Hi")), packs=[Pack("mine", (step,))])).play()

    assert isinstance(outcome, Failed)
    assert "ZeroDivisionError" in outcome.message


def garbage(state: InteractionState) -> Any:
    """Return nothing."""


async def cancelling(state: InteractionState) -> InteractionState:
    """Await something that was cancelled."""
    await cancelled_inside()
    return state


def exiting(state: InteractionState) -> InteractionState:
    """End the process, if it could."""
    sys.exit(1)


def with_nul(state: InteractionState) -> InteractionState:
    """Show what cannot be stored."""
    return replace(state, messages=(*state.messages, Message(role="system", content="\x00")))  # type: ignore[arg-type]


def with_object(state: InteractionState) -> InteractionState:
    """Keep what is no JSON."""
    return replace(state, private={"x": object()})


@pytest.mark.parametrize("policy", [garbage, cancelling, exiting, with_nul, with_object])
def test_a_policy_that_does_wrong_fails_its_turn_and_nothing_else(policy: Any) -> None:
    model = ScriptedModel(says("Hi"))
    outcome = Attempts(Assistant(model, policies=Policies(truncate=policy))).play()

    assert isinstance(outcome, Failed)
    assert outcome.message.startswith("step 'policies' raised")
    assert outcome.messages[-1].text == "Hi"


def test_a_policy_may_take_plain_messages_for_the_view() -> None:
    def shorten(state: InteractionState) -> InteractionState:
        return replace(state, messages=(Message(role="system", content="They talked."),))  # type: ignore[arg-type]

    model = ScriptedModel(says("Hi"))
    outcome = Attempts(Assistant(model, policies=Policies(truncate=shorten))).play()

    assert isinstance(outcome, Completed)
    assert [(each.text, each.by) for each in outcome.state.messages] == [
        ("They talked.", "shorten")
    ]


def test_a_plain_policy_does_not_hold_up_the_loop() -> None:
    seen: list[int] = []

    def slow(state: InteractionState) -> InteractionState:
        seen.append(threading.get_ident())
        return state

    Attempts(Assistant(ScriptedModel(says("Hi")), policies=Policies(truncate=slow))).play()

    assert seen[0] != threading.get_ident()


@pytest.mark.parametrize(
    "wrong",
    [[ValueError("odd")], [Delta("half a summ")], [End()], [ModelError("no"), End()]],
    ids=["raises", "breaks off", "says nothing", "fails"],
)
def test_a_summary_that_fails_takes_no_answer_with_it(wrong: Answer) -> None:
    def reply(call: ModelCall) -> Answer:
        return wrong if call.turn == "summary" else says("Hi")

    policy = ready.summarize_when(tokens=1, keep_turns=0)
    attempts = Attempts(Assistant(ScriptedModel(reply=reply), policies=[policy]))

    outcome = attempts.play()

    assert isinstance(outcome, Completed)
    assert outcome.state.messages[-1].text == "Hi"
    told = [each.code for each in attempts.events if isinstance(each, Diagnostic)]
    assert told == ["summary_failed"]


def test_a_summary_is_stored_without_what_cannot_be_stored() -> None:
    def reply(call: ModelCall) -> Answer:
        return says("They \x00talked.") if call.turn == "summary" else says("Hi")

    policy = ready.summarize_when(tokens=1, keep_turns=0)
    outcome = Attempts(Assistant(ScriptedModel(reply=reply), policies=[policy])).play()

    assert isinstance(outcome, Completed)
    assert outcome.state.messages[0].text.endswith("They \ufffdtalked.")


def test_a_summary_that_raises_on_overflow_fails_the_turn_visibly() -> None:
    def summarize(state: InteractionState) -> InteractionState:
        raise ValueError("odd")

    model = ScriptedModel([ContextOverflowError("too long")])
    outcome = Attempts(Assistant(model, policies=Policies(summarize=summarize))).play()

    assert isinstance(outcome, Failed)
    assert "odd" in outcome.message


def test_a_model_that_ends_without_a_word_is_told_of() -> None:
    attempts = Attempts(Assistant(ScriptedModel([End("content_filter")])))

    assert isinstance(attempts.play(), Completed)
    assert [each.code for each in attempts.events if isinstance(each, Diagnostic)] == [
        "empty_answer"
    ]


class Empty:
    """A model that says nothing, again and again."""

    name = "empty"

    async def stream(self, call: ModelCall) -> AsyncIterator[ModelItem]:
        """Yield nothing for ever."""
        while True:
            await asyncio.sleep(0.01)
            yield Delta("")


def test_pieces_with_nothing_in_them_are_no_sign_of_life() -> None:
    outcome = Attempts(Assistant(Empty(), retry=Retry(tries=1, silence=0.2))).play()

    assert isinstance(outcome, Failed)
    assert "said nothing for 0.2 s" in outcome.message


class Plain:
    """A model that is neither async nor streams."""

    name = "plain"

    def generate(self, call: ModelCall) -> Generated:
        """Answer at once."""
        return Generated("Hi")


class Cancelled:
    """A model that awaits what was cancelled."""

    name = "cancelled"

    async def stream(self, call: ModelCall) -> AsyncIterator[ModelItem]:
        """Never answer."""
        await cancelled_inside()
        yield End()


def test_models_of_other_kinds() -> None:
    plain = Attempts(Assistant(Plain())).play()  # type: ignore[arg-type]
    cancelled = Attempts(Assistant(Cancelled())).play()

    assert isinstance(plain, Completed)
    assert plain.messages[-1].text == "Hi"
    assert isinstance(cancelled, Failed)
    assert "CancelledError" in cancelled.message

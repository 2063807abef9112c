"""The step that calls the model: retries, overflow, and what a provider gets to see."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from harness.scripted import USED, Attempts, ScriptedModel, says

from turnline_schemas.event_data import Diagnostic, StepReset
from turnline_schemas.message import Message
from turnline_workers.errors import ContextOverflowError, ModelError
from turnline_workers.interaction.assistant import Assistant
from turnline_workers.interaction.model import (
    Delta,
    End,
    Generated,
    ModelCall,
    ModelItem,
    ToolCall,
    ToolCallDelta,
)
from turnline_workers.interaction.outcome import Completed, Failed
from turnline_workers.interaction.policies import Policies
from turnline_workers.interaction.run_model import Retry
from turnline_workers.interaction.state import InteractionState
from turnline_workers.interaction.tools import Tool

SOON = Retry(tries=3, first=0.001)
BUSY = ModelError("429 too many requests", transient=True)


def test_a_passing_failure_is_tried_again_and_half_an_answer_is_withdrawn() -> None:
    model = ScriptedModel([BUSY], [Delta("Half an ans"), BUSY], says("A whole answer."))
    attempts = Attempts(Assistant(model, retry=SOON))

    outcome = attempts.play()

    assert isinstance(outcome, Completed)
    assert [message.text for message in outcome.messages] == ["Hello!", "A whole answer."]
    assert [e.step for e in attempts.events if isinstance(e, StepReset)] == ["t.1"]
    assert [e.code for e in attempts.events if isinstance(e, Diagnostic)] == ["model_retry"] * 2


def test_a_stream_that_is_cut_off_is_a_passing_failure() -> None:
    model = ScriptedModel([Delta("Half")], says("Whole."))

    outcome = Attempts(Assistant(model, retry=SOON)).play()

    assert isinstance(outcome, Completed)
    assert outcome.messages[-1].text == "Whole."


@pytest.mark.parametrize(
    ("failure", "calls"),
    [
        (ModelError("401 wrong key"), 1),
        (BUSY, 3),
        (ModelError("429", transient=True, retry_after=3600), 1),
    ],
    ids=["for good", "every time", "asks to wait too long"],
)
def test_a_failure_that_does_not_pass_fails_the_turn(failure: ModelError, calls: int) -> None:
    model = ScriptedModel(*[[Delta("So far"), failure]] * 3)
    outcome = Attempts(Assistant(model, retry=SOON)).play()

    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.retryable) == ("model_error", failure.retryable)
    assert len(model.calls) == calls
    assert outcome.messages[-1].text == "So far"


def test_every_try_and_the_step_that_fails_are_traced() -> None:
    passing = ModelError("busy", transient=True)
    outcome = Attempts(Assistant(ScriptedModel([passing], [ModelError("no")]), retry=SOON)).play()

    assert isinstance(outcome, Failed)
    assert [(entry.kind, entry.name, entry.error) for entry in outcome.trace] == [
        ("step", "core.capture-input", None),
        ("model", "scripted", "model_error"),
        ("model", "scripted", "model_error"),
        ("step", "core.run-model", "model_error"),
    ]


def test_a_model_that_falls_silent_is_asked_again() -> None:
    class Silent(ScriptedModel):
        async def stream(self, call: ModelCall) -> AsyncIterator[ModelItem]:
            self.calls.append(call)
            yield Delta("So far")
            if len(self.calls) == 1:
                await asyncio.sleep(60)
            yield End()

    model = Silent()
    attempts = Attempts(Assistant(model, retry=Retry(tries=2, first=0.001, silence=0.05)))

    assert isinstance(attempts.play(), Completed)
    assert len(model.calls) == 2
    assert [each.step for each in attempts.events if isinstance(each, StepReset)] == ["t.1"]


def test_what_a_provider_sent_is_kept_beside_the_conversation_and_given_back() -> None:
    sent = End(raw={"signed": "a\x00b"}, raw_usage={"cached": 3})
    failure = ModelError("refused", raw={"body": "why"})
    model = ScriptedModel([Delta("Hi"), sent], [Delta("Half"), failure])
    first = Attempts(Assistant(model)).play()
    assert isinstance(first, Completed)
    second = Attempts(Assistant(model), first.state).play()

    assert first.state.private["raw"] == {
        "scripted:raw": {"signed": "a\ufffdb"},
        "scripted:usage": {"cached": 3},
    }
    assert model.calls[1].raw == {"signed": "a\ufffdb"}
    assert isinstance(second, Failed)
    assert second.state.private["raw"]["scripted:error"]["raw"] == {"body": "why"}
    assert "signed" not in second.state.messages[-1].model_dump_json()


def test_a_wish_to_wait_is_honoured() -> None:
    assert Retry(first=0.5).pause(1, ModelError("", transient=True, retry_after=7), 0.0) == 7
    assert Retry(first=0.5).pause(3, ModelError("", transient=True), 0.0) == 2


def test_no_try_begins_behind_the_time_that_a_call_may_take() -> None:
    passing = ModelError("", transient=True)

    assert Retry(first=2.0, within=60).pause(1, passing, 58.0) == 2
    assert Retry(first=2.0, within=60).pause(1, passing, 58.1) is None


def test_a_view_that_is_too_long_is_summarized_once_and_the_turn_goes_on() -> None:
    def summarize(state: InteractionState) -> InteractionState:
        return InteractionState(next_index=state.next_index).appended(
            "s", Message(role="system", content="They greeted each other.")
        )

    said = [Message(role="user", content="Hi"), Message(role="assistant", content="Hi")]
    before = InteractionState().appended("earlier", *said * 5)
    model = ScriptedModel([ContextOverflowError("too long")], says("Fine."))
    attempts = Attempts(Assistant(model, policies=Policies(summarize=summarize)), before)

    outcome = attempts.play()

    assert isinstance(outcome, Completed)
    seen = [message.text for message in model.calls[1].messages]
    assert seen == ["They greeted each other.", "Hello!"]
    assert [e.reason for e in attempts.events if isinstance(e, StepReset)] == ["context_overflow"]


def test_a_view_that_stays_too_long_fails_the_turn() -> None:
    model = ScriptedModel(*[[ContextOverflowError("too long")]] * 2)
    policies = Policies(summarize=lambda state: state)

    outcome = Attempts(Assistant(model, policies=policies)).play()

    assert isinstance(outcome, Failed)
    assert outcome.code == "context_overflow"
    assert len(model.calls) == 2


class Whole:
    """A model without streams."""

    name = "whole"

    async def generate(self, call: ModelCall) -> Generated:
        """Call a tool, then answer."""
        if call.messages[-1].role == "user":
            return Generated("I look.", "Hm.", (ToolCall("look", "{}"),), USED)
        return Generated("Seen.", end=USED)


class Streaming(Whole):
    """The same model, with streams."""

    async def stream(self, call: ModelCall):  # type: ignore[no-untyped-def]
        """Say the same, in pieces."""
        answer = await self.generate(call)
        for letter in answer.reasoning:
            yield Delta(letter, "reasoning")
        for letter in answer.text:
            yield Delta(letter)
        for index, each in enumerate(answer.calls):
            yield ToolCallDelta(index, each.name)
            yield ToolCallDelta(index, arguments=each.arguments)
        yield answer.end


def test_a_model_without_streams_leads_to_the_same_state() -> None:
    def look() -> str:
        return "seen"

    outcomes = [
        Attempts(Assistant(model, tools=[Tool(look)])).play() for model in (Whole(), Streaming())
    ]

    assert all(isinstance(outcome, Completed) for outcome in outcomes)
    whole, streaming = [outcome.messages for outcome in outcomes if isinstance(outcome, Completed)]
    assert whole == streaming


def test_what_the_provider_sent_is_kept_where_no_model_and_no_reader_sees_it() -> None:
    model = ScriptedModel([Delta("Hi"), End(raw={"id": "resp_1"})])
    attempts = Attempts(Assistant(model))

    outcome = attempts.play()

    assert isinstance(outcome, Completed)
    assert outcome.state.private == {"raw": {"scripted:raw": {"id": "resp_1"}}}
    assert "resp_1" not in "".join(event.model_dump_json() for event in attempts.events)

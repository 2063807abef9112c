"""A step or tool asks; the turn stops there, and goes on there once it is answered."""

from datetime import timedelta

import pytest
from harness.scripted import Answer, Attempts, ScriptedModel, calls, says

from turnline_schemas.errors import ConfigurationError
from turnline_schemas.event_data import TurnResumed
from turnline_schemas.message import Message
from turnline_workers.interaction.assistant import Assistant
from turnline_workers.interaction.model import ModelCall
from turnline_workers.interaction.outcome import Completed, Paused
from turnline_workers.interaction.pipeline import Pack, Step
from turnline_workers.interaction.state import TurnState
from turnline_workers.interaction.tools import Tool, ToolContext

YES_OR_NO = {"type": "boolean"}


def test_a_step_that_asks_pauses_the_turn_and_runs_again_with_the_answer() -> None:
    model = ScriptedModel(says("Here is a draft."))

    def approve(turn: TurnState) -> TurnState:
        if turn.ask("approval", {"text": turn.messages[-1].text}, schema=YES_OR_NO):
            return turn.adding(Message(role="assistant", content="Approved."))
        return turn.adding(Message(role="assistant", content="Dropped."))

    pack = Pack("review", (Step("approve", approve, depends_on=("core.run-model",)),))
    attempts = Attempts(Assistant(model, packs=[pack]))

    paused = attempts.play()
    assert isinstance(paused, Paused)
    question = paused.question
    assert (question.pause, question.kind) == ("t.2.0", "approval")
    assert question.payload == {"text": "Here is a draft."}
    attempts.answer(question.pause, False)
    outcome = attempts.play()

    assert isinstance(outcome, Completed)
    assert outcome.messages[-1].text == "Dropped."
    assert len(model.calls) == 1
    assert [e.value for e in attempts.events if isinstance(e, TurnResumed)] == [False]


def test_several_questions_are_asked_one_after_another() -> None:
    def ask(turn: TurnState) -> TurnState:
        first = turn.ask("first")
        second = turn.ask("second", first, expires_in=timedelta(hours=1))
        return turn.adding(Message(role="assistant", content=f"{first} {second}"))

    pack = Pack("mine", (Step("ask", ask, depends_on=("core.run-model",)),))
    attempts = Attempts(Assistant(ScriptedModel(says("Hi")), packs=[pack]))

    asked = []
    outcome = attempts.play()
    while isinstance(outcome, Paused):
        asked.append((outcome.question.kind, outcome.question.payload))
        attempts.answer(outcome.question.pause, len(asked))
        outcome = attempts.play()

    assert isinstance(outcome, Completed)
    assert asked == [("first", None), ("second", 1)]
    assert outcome.messages[-1].text == "1 2"


def test_a_tool_that_asks_waits_until_the_others_are_done_and_on_record() -> None:
    ran: list[str] = []

    def book(ctx: ToolContext, hotel: str) -> str:
        if not ctx.ask("approval", {"hotel": hotel}, schema=YES_OR_NO):
            return "not booked"
        ran.append(hotel)
        return "booked"

    def look() -> str:
        ran.append("look")
        return "seen"

    def reply(call: ModelCall) -> Answer:
        if call.messages[-1].role == "user":
            return calls(("book", '{"hotel": "Ritz"}'), ("look", ""))
        return says("Done.")

    model = ScriptedModel(reply=reply)
    tools = [Tool(book, effects="idempotent"), Tool(look, effects="pure")]
    attempts = Attempts(Assistant(model, tools=tools))

    paused = attempts.play()
    assert isinstance(paused, Paused)
    assert paused.question.payload == {"hotel": "Ritz"}
    attempts.answer(paused.question.pause, True)
    outcome = attempts.play()

    assert isinstance(outcome, Completed)
    assert ran == ["look", "Ritz"]
    assert len(model.calls) == 2


def test_an_unsafe_tool_that_only_asked_is_not_an_unknown_outcome() -> None:
    def pay(ctx: ToolContext) -> str:
        return "paid" if ctx.ask("approval") else "not paid"

    model = ScriptedModel(calls(("pay", "")), says("Done."))
    attempts = Attempts(Assistant(model, tools=[Tool(pay)]))

    paused = attempts.play()
    assert isinstance(paused, Paused)
    assert paused.question.kind == "approval"
    attempts.answer(paused.question.pause, True)
    outcome = attempts.play()

    assert isinstance(outcome, Completed)


def test_the_question_tells_what_becomes_of_later_turns() -> None:
    def ask(turn: TurnState) -> TurnState:
        return turn.adding(Message(role="assistant", content=turn.ask("approval")))

    pack = Pack("mine", (Step("ask", ask, depends_on=("core.run-model",)),))
    told = []
    for assistant in (
        Assistant(ScriptedModel(says("Hi")), packs=[pack]),
        Assistant(ScriptedModel(says("Hi")), packs=[pack], while_paused="refuse"),
    ):
        paused = Attempts(assistant).play()
        assert isinstance(paused, Paused)
        told.append(paused.question.event().later_turns)

    assert told == ["wait", "refuse"]


def test_an_unknown_wish_for_later_turns_is_told_at_start() -> None:
    with pytest.raises(ConfigurationError, match="while_paused is 'drop'"):
        Assistant(ScriptedModel(), while_paused="drop")  # type: ignore[arg-type]

"""Tools: what the model is told of them, what it gets back, and that they run once."""

import asyncio
import threading
from typing import Annotated, Any

import pytest
from harness.scripted import Answer, Attempts, ScriptedModel, calls, says
from pydantic import Field

from turnline_schemas.errors import ConfigurationError
from turnline_schemas.event_data import Data, SourceAdded, ToolReady, ToolResult
from turnline_workers.interaction.assistant import Assistant
from turnline_workers.interaction.model import ModelCall
from turnline_workers.interaction.outcome import Completed, Failed, Paused
from turnline_workers.interaction.tools import Tool, ToolContext, ToolError


def get_weather(city: str, days: Annotated[int, Field(ge=1, le=7)] = 1) -> dict[str, Any]:
    """Tell the weather."""
    return {"city": city, "days": days, "sky": "clear"}


def results(attempts: Attempts) -> list[tuple[str, Any, bool]]:
    """Call, output and whether it is an error, as the last attempt told them."""
    return [
        (event.call, event.output, event.is_error)
        for event in attempts.events
        if isinstance(event, ToolResult)
    ]


def test_the_signature_tells_the_model_how_to_call() -> None:
    spec = Tool(get_weather).spec

    assert (spec.name, spec.description) == ("get_weather", "Tell the weather.")
    assert spec.parameters["required"] == ["city"]
    assert spec.parameters["properties"]["days"]["maximum"] == 7
    assert spec.parameters["additionalProperties"] is False


@pytest.mark.parametrize("run", [lambda city: city, len, print], ids=["lambda", "len", "print"])
def test_what_cannot_be_a_tool_is_refused_when_it_is_made(run: Any) -> None:
    with pytest.raises(ConfigurationError):
        Tool(run)


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="two tools"):
        Assistant(ScriptedModel(), tools=[Tool(get_weather), Tool(get_weather)])


def test_the_model_sees_what_its_tool_returned_and_goes_on() -> None:
    model = ScriptedModel(calls(("get_weather", '{"city": "Oslo"}')), says("It is clear."))
    attempts = Attempts(Assistant(model, tools=[Tool(get_weather)]))

    outcome = attempts.play()

    assert isinstance(outcome, Completed)
    assert results(attempts) == [("t.1.0", {"city": "Oslo", "days": 1, "sky": "clear"}, False)]
    assert [message.role for message in outcome.messages] == [
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert [message.role for message in model.calls[1].messages] == ["user", "assistant", "tool"]
    assert outcome.messages[-1].text == "It is clear."
    assert (outcome.usage.input, outcome.usage.output) == (6, 4)


def test_calls_run_side_by_side_and_their_results_stand_in_their_order() -> None:
    gate = asyncio.Barrier(3)

    async def wait(number: int) -> int:
        async with asyncio.timeout(5):
            await gate.wait()
        return number

    wanted = [("wait", f'{{"number": {number}}}') for number in range(3)]
    model = ScriptedModel(calls(*wanted), says("Done."))

    outcome = Attempts(Assistant(model, tools=[Tool(wait)])).play()

    assert isinstance(outcome, Completed)
    content = outcome.messages[2].content
    assert not isinstance(content, str)
    assert [part.model_extra["output"] for part in content.parts if part.model_extra] == [0, 1, 2]


def test_a_plain_function_runs_in_a_thread() -> None:
    def where() -> str:
        return threading.current_thread().name

    model = ScriptedModel(calls(("where", "")), says("Done."))
    attempts = Attempts(Assistant(model, tools=[Tool(where)]))
    attempts.play()

    assert results(attempts)[0][1] != threading.current_thread().name


async def sleeps() -> None:
    """Take too long."""
    await asyncio.sleep(60)


def refuses() -> None:
    """Tell the model what is wrong."""
    raise ToolError("Oslo is closed today")


def breaks() -> None:
    """Raise."""
    raise KeyError("oslo")


def exits() -> None:
    """End the process, it thinks."""
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("wanted", "code", "said"),
    [
        (("nothing", "{}"), "tool_not_found", "there are: get_weather"),
        (("get_weather", '{"town": "Oslo"}'), "invalid_arguments", "city: Field required"),
        (("get_weather", '{"city": "Oslo", "days": 9}'), "invalid_arguments", "days: "),
        (("get_weather", '{"city": '), "invalid_arguments", "no JSON object"),
        (("get_weather", '{"city": NaN}'), "invalid_arguments", "no JSON object"),
        (("get_weather", "[1]"), "invalid_arguments", "no JSON object"),
        (("sleeps", ""), "tool_timeout", "0.05 s"),
        (("refuses", ""), "tool_error", "Oslo is closed today"),
        (("breaks", ""), "tool_error", "KeyError: 'oslo'"),
        (("exits", ""), "tool_error", "SystemExit: 3"),
        (("odd", ""), "tool_error", "cannot be stored"),
    ],
)
def test_what_goes_wrong_is_told_to_the_model(
    wanted: tuple[str, str], code: str, said: str
) -> None:
    def odd() -> str:
        return "nul \x00"

    tools = [
        Tool(get_weather),
        Tool(sleeps, timeout=0.05),
        *[Tool(each) for each in (refuses, breaks, exits, odd)],
    ]
    model = ScriptedModel(calls(wanted), says("I see."))
    attempts = Attempts(Assistant(model, tools=tools))

    outcome = attempts.play()

    assert isinstance(outcome, Completed)
    ((_, output, is_error),) = results(attempts)
    assert is_error
    assert output["error"] == code
    assert said in output["message"]
    assert [entry.error for entry in outcome.trace if entry.kind == "tool"] == [code]


def test_a_tool_may_tell_readers_and_name_its_sources() -> None:
    def look(ctx: ToolContext, what: str) -> str:
        ctx.tell("progress", {"key": ctx.key}, transient=True)
        ctx.source("A page", url="https://example.org", text="It says so.")
        return "found"

    model = ScriptedModel(calls(("look", '{"what": "x"}')), says("It says so."))
    attempts = Attempts(Assistant(model, tools=[Tool(look)]))

    outcome = attempts.play()

    assert isinstance(outcome, Completed)
    assert [e.value for e in attempts.events if isinstance(e, Data)] == [{"key": "t.1.0"}]
    assert [e.source for e in attempts.events if isinstance(e, SourceAdded)] == ["t.2.0"]
    assert "It says so." in model.calls[1].messages[-1].text


def test_a_model_that_never_stops_calling_fails_the_turn() -> None:
    model = ScriptedModel(*[calls(("get_weather", '{"city": "Oslo"}'))] * 9)
    attempts = Attempts(Assistant(model, tools=[Tool(get_weather)], max_model_calls=3))

    outcome = attempts.play()

    assert isinstance(outcome, Failed)
    assert outcome.code == "step_budget"
    assert len(model.calls) == 3
    assert [message.role for message in outcome.messages].count("tool") == 3


@pytest.mark.parametrize("effects", ["pure", "idempotent", "unsafe"])
def test_wherever_an_attempt_dies_nothing_that_was_recorded_is_done_again(effects: Any) -> None:
    ran: list[str] = []

    def act(ctx: ToolContext) -> str:
        ran.append(ctx.key)
        return "done"

    def reply(call: ModelCall) -> Answer:
        asked = call.messages[-1].role == "user"
        return calls(("act", ""), ("act", "")) if asked else says("Done.")

    def fresh() -> tuple[ScriptedModel, Attempts]:
        ran.clear()
        model = ScriptedModel(reply=reply)
        return model, Attempts(Assistant(model, tools=[Tool(act, effects=effects)]))

    model, whole = fresh()
    assert isinstance(whole.play(), Completed)
    items = len(whole.events) + len(whole.entries)

    for dies_at in range(items):
        model, attempts = fresh()
        assert attempts.play(dies_at=dies_at) is None
        known = {(entry.kind, entry.id) for entry in attempts.entries}
        before, asked = len(ran), len(model.calls)
        outcome = attempts.play()
        decisions = 0
        while isinstance(outcome, Paused):
            assert effects == "unsafe"
            assert outcome.question.kind == "unknown_outcome"
            attempts.answer(outcome.question.pause, {"decision": "retry"})
            outcome = attempts.play()
            decisions += 1
        assert isinstance(outcome, Completed), (dies_at, outcome)
        again = ran[before:]
        assert not {call for kind, call in known if kind == "tool"} & set(again)
        if ("step", "t.1") in known:
            assert {call.messages[-1].role for call in model.calls[asked:]} <= {"tool"}
        # One that had not really run by then is asked about as well: nobody knows.
        begun = {run.split("#")[0] for kind, run in known if kind == "began"}
        assert decisions == len(begun - {call for kind, call in known if kind == "tool"})


@pytest.mark.parametrize(
    ("answer", "output", "is_error", "runs"),
    [
        ({"decision": "done", "result": {"paid": True}}, {"paid": True}, False, 1),
        ({"decision": "retry"}, "paid", False, 2),
        ({"decision": "fail"}, None, True, 1),
    ],
    ids=["done", "retry", "fail"],
)
def test_a_person_decides_on_an_unsafe_call_whose_result_was_lost(
    answer: dict[str, Any], output: Any, is_error: bool, runs: int
) -> None:
    ran: list[str] = []

    def pay() -> str:
        ran.append("paid")
        return "paid"

    model = ScriptedModel(calls(("pay", "{}")), says("Paid."))
    attempts = Attempts(Assistant(model, tools=[Tool(pay)]))
    attempts.play()
    attempts.entries = [entry for entry in attempts.entries if entry.kind != "tool"]
    model.answers.append(says("Paid."))

    paused = attempts.play()
    assert isinstance(paused, Paused)
    assert paused.question.payload == {"call": "t.1.0", "tool": "pay", "arguments": {}}
    assert isinstance(attempts.play(), Paused)
    attempts.answer(paused.question.pause, answer)
    outcome = attempts.play()

    assert isinstance(outcome, Completed)
    ((_, told, failed),) = results(attempts)
    assert failed is is_error
    if output is not None:
        assert told == output
    assert len(ran) == runs


def test_a_call_that_a_person_had_repeated_and_that_is_lost_again_is_asked_about_again() -> None:
    ran: list[str] = []

    def pay() -> str:
        ran.append("paid")
        return "paid"

    def reply(call: ModelCall) -> Answer:
        return calls(("pay", "")) if call.messages[-1].role == "user" else says("Paid.")

    attempts = Attempts(Assistant(ScriptedModel(reply=reply), tools=[Tool(pay)]))

    def play_and_lose_the_result() -> None:
        attempts.play()
        attempts.entries = [entry for entry in attempts.entries if entry.kind != "tool"]

    play_and_lose_the_result()
    for times in (1, 2, 3):
        paused = attempts.play()
        assert isinstance(paused, Paused)
        assert len(ran) == times
        attempts.answer(paused.question.pause, {"decision": "retry"})
        play_and_lose_the_result()
    paused = attempts.play()
    assert isinstance(paused, Paused)
    attempts.answer(paused.question.pause, {"decision": "done", "result": "paid"})

    assert isinstance(attempts.play(), Completed)
    assert len(ran) == 4


def test_a_call_that_is_never_completed_does_not_run() -> None:
    half = calls(("get_weather", '{"city": "Os'))[:-1]
    model = ScriptedModel([*half, RuntimeError("gone")])
    attempts = Attempts(Assistant(model, tools=[Tool(get_weather)]))

    outcome = attempts.play()

    assert isinstance(outcome, Failed)
    assert not [event for event in attempts.events if isinstance(event, ToolReady)]
    assert [message.role for message in outcome.messages] == ["user"]

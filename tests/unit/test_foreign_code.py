"""What users' functions may do without harm to the turn, the session or the worker."""

import asyncio
import contextvars
import functools
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from harness.scripted import Answer, Attempts, ScriptedModel, calls, says

from turnline_schemas.errors import ConfigurationError
from turnline_schemas.event_data import Diagnostic, ToolResult
from turnline_schemas.message import Message
from turnline_workers import Assistant, Pack, Session, Step, Tool, ToolContext, TurnState
from turnline_workers import policies as ready
from turnline_workers.errors import ContextOverflowError, ModelError
from turnline_workers.interaction.answers import check_schema, wrong_answer
from turnline_workers.interaction.model import Delta, End, Generated, ModelCall, ModelItem
from turnline_workers.interaction.outcome import Completed, Failed, Paused
from turnline_workers.interaction.policies import Policies
from turnline_workers.interaction.run_model import Retry
from turnline_workers.interaction.state import InteractionState
from turnline_workers.interaction.tools import failure


def result_of(tool: Tool, arguments: str = "{}") -> tuple[Any, bool]:
    """What the model is told of one call."""
    model = ScriptedModel(calls((tool.name, arguments)), says("Done."))
    attempts = Attempts(Assistant(model, tools=[tool]))
    outcome = attempts.play()
    assert isinstance(outcome, Completed), outcome
    (result,) = [each for each in attempts.events if isinstance(each, ToolResult)]
    return result.output, result.is_error


class MuteError(Exception):
    """Cannot be told."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


async def cancelled_inside() -> None:
    """Await something that was cancelled."""
    task = asyncio.ensure_future(asyncio.sleep(5))
    task.cancel()
    await task


def stops() -> None:
    """Run an iterator dry."""
    next(iter(()))


def raising(error: BaseException) -> Callable[[], None]:
    """A function that raises."""

    def act() -> None:
        raise error

    return act


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (cancelled_inside, "CancelledError"),
        (stops, "StopIteration"),
        (raising(MuteError()), "MuteError: (its text cannot be told)"),
        (raising(ValueError("a\x00b")), "ValueError: a\ufffdb"),
        (raising(ValueError("\ud800")), "ValueError: ?"),
        (raising(TimeoutError("the socket")), "TimeoutError: the socket"),
        (raising(SystemExit(3)), "SystemExit: 3"),
        (raising(BaseException("odd")), "BaseException: odd"),
        (lambda: 10**5000, "cannot be stored"),
        (lambda: float("nan"), "cannot be stored"),
    ],
)
def test_whatever_a_tool_does_is_told_to_the_model(run: Callable[[], Any], said: str) -> None:
    output, is_error = result_of(Tool(run, name="act", effects="pure"))

    assert is_error
    assert output["error"] == "tool_error"
    assert said in output["message"]


def test_what_a_tool_tells_must_be_storable_too() -> None:
    def tell(ctx: ToolContext) -> None:
        ctx.tell("x", "\x00")

    def source(ctx: ToolContext) -> None:
        ctx.source("\x00")

    for run in (tell, source):
        assert "NUL" in result_of(Tool(run, effects="pure"))[0]["message"]
    assert failure("tool_error", "\x00") == {"error": "tool_error", "message": "\ufffd"}


@pytest.mark.parametrize(
    "ask",
    [
        {"kind": ""},
        {"kind": None},
        {"kind": "k", "payload": "\x00"},
        {"kind": "k", "payload": object()},
        {"kind": "k", "payload": float("nan")},
        {"kind": "k", "expires_in": 60},
        {"kind": "k", "expires_in": timedelta.max},
        {"kind": "k", "expires_in": timedelta(0)},
        {"kind": "k", "schema": {"$ref": "#/nope"}},
        {"kind": "k", "schema": {"$ref": "http://127.0.0.1:1/schema"}},
        {"kind": "k", "schema": {"type": "nothing"}},
        {"kind": "k", "schema": {"enum": ["\x00"]}},
    ],
)
def test_a_question_that_cannot_be_answered_is_never_asked(ask: dict[str, Any]) -> None:
    def act(ctx: ToolContext) -> Any:
        return ctx.ask(ask["kind"], **{key: ask[key] for key in ask if key != "kind"})

    output, is_error = result_of(Tool(act, effects="pure"))

    assert is_error
    assert "ConfigurationError" in output["message"]


def test_a_schema_that_cannot_be_applied_refuses_answers_and_fetches_nothing() -> None:
    assert "cannot be applied" in str(wrong_answer({"$ref": "#/nope"}, 5))
    assert "cannot be applied" in str(wrong_answer({"$ref": "http://127.0.0.1:1/"}, 5))
    inside = {"$ref": "#/$defs/room", "$defs": {"room": {"type": "integer"}}}
    check_schema(inside)
    assert wrong_answer(inside, 5) is None
    assert wrong_answer(inside, "x") == "value: 'x' is not of type 'integer'"


def test_a_question_in_a_task_group_pauses_the_turn() -> None:
    async def act(ctx: ToolContext) -> str:
        async def ask() -> Any:
            return ctx.ask("approval")

        async with asyncio.TaskGroup() as group:
            answer = group.create_task(ask())
        return str(answer.result())

    attempts = Attempts(
        Assistant(ScriptedModel(calls(("act", "{}")), says("Done.")), tools=[Tool(act)])
    )
    assert isinstance(attempts.play(), Paused)
    attempts.answer("t.1.0.0", "yes")
    assert isinstance(attempts.play(), Completed)


def test_a_tool_that_hangs_holds_up_no_other_and_no_end() -> None:
    freed = threading.Event()

    def hang() -> None:
        freed.wait(20)

    wanted = [("hang", "{}")] * 60
    model = ScriptedModel(calls(*wanted, ("quick", "{}")), says("Done."))
    tools = [Tool(hang, timeout=0.2, effects="pure"), Tool(lambda: 7, name="quick", effects="pure")]

    begin = time.monotonic()
    outcome = Session("demo", assistant=Assistant(model, tools=tools)).send_sync("Hello!")
    took = time.monotonic() - begin
    freed.set()

    assert isinstance(outcome, Completed)
    assert took < 15, "it waited for what had timed out"


LANGUAGE = contextvars.ContextVar("language", default="none")


def test_plain_functions_see_the_context_of_the_turn() -> None:
    LANGUAGE.set("eo")

    assert result_of(Tool(lambda: LANGUAGE.get(), name="look", effects="pure"))[0] == "eo"


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """An ordinary decorator."""

    @functools.wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return inner


async def double(number: int) -> int:
    """Double a number."""
    return 2 * number


class Doubler:
    """A tool with a state."""

    async def __call__(self, number: int, ctx: ToolContext | None = None) -> int:
        """Double a number."""
        assert ctx is not None
        return 2 * number


def odd_names(model_config: int, _x: int, schema: int, json: int) -> int:
    """Take arguments that pydantic has names for."""
    return model_config + _x + schema + json


@pytest.mark.parametrize(
    ("tool", "arguments", "output"),
    [
        (Tool(wrapped(double)), '{"number": 4}', 8),
        (Tool(Doubler(), name="double-it"), '{"number": 4}', 8),
        (Tool(odd_names), '{"model_config": 1, "_x": 2, "schema": 3, "json": 4}', 10),
    ],
)
def test_every_kind_of_function_can_be_a_tool(tool: Tool, arguments: str, output: int) -> None:
    assert result_of(tool, arguments) == (output, False)
    assert set(tool.spec.parameters["properties"]) >= set(tool.spec.parameters["required"])


async def generated() -> AsyncIterator[int]:
    """Yield, where a result is wanted."""
    yield 1


def by_place(number: int, /) -> int:
    """Take an argument by place."""
    return number


def of_odd_type(thing: threading.Event) -> None:
    """Take what no JSON can be."""


@pytest.mark.parametrize(
    "build",
    [
        lambda: Tool(generated),
        lambda: Tool(by_place),
        lambda: Tool(of_odd_type),
        lambda: Tool(double, name="größe"),
        lambda: Tool(double, name="x" * 65),
        lambda: Tool(double, effects="Unsafe"),  # type: ignore[arg-type]
        lambda: Tool(double, timeout=0),
        lambda: Assistant(None),  # type: ignore[arg-type]
        lambda: Assistant(ScriptedModel(), tools=[double]),  # type: ignore[list-item]
        lambda: Assistant(ScriptedModel(), policies=[max]),  # type: ignore[list-item]
        lambda: Assistant(ScriptedModel(), max_model_calls=0),
        lambda: Assistant(ScriptedModel(), packs=[Pack("core", ())]),
        lambda: Assistant(ScriptedModel(), packs=[Pack("a.b", (Step("c", same),))]),
        lambda: Assistant(ScriptedModel(), packs=[Pack("a", (Step("c", same), Step("c", same)))]),
        lambda: Assistant(
            ScriptedModel(),
            packs=[Pack("a", (Step("c", same, depends_on="core"),))],  # type: ignore[arg-type]
        ),
        lambda: Retry(tries=0),
        lambda: Retry(silence=0),
    ],
)
def test_what_could_never_work_is_refused_when_it_is_made(build: Callable[[], Any]) -> None:
    with pytest.raises(ConfigurationError):
        build()


def same(turn: TurnState) -> TurnState:
    """Change nothing."""
    return turn


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

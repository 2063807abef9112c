"""What users' tools may do without harm to the turn, the session or the worker."""

import asyncio
import contextvars
import functools
import threading
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from harness.scripted import Attempts, ScriptedModel, calls, says
from harness.wicked import cancelled_inside, same

from turnline_schemas.errors import ConfigurationError
from turnline_schemas.event_data import ToolResult
from turnline_workers import Assistant, Pack, Session, Step, Tool, ToolContext
from turnline_workers.interaction.answers import check_schema, wrong_answer
from turnline_workers.interaction.outcome import Completed, Paused
from turnline_workers.interaction.run_model import Retry
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

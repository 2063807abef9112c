"""Tools: functions that a model may call."""

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError, create_model
from pydantic_core import PydanticSerializationError, to_jsonable_python

from turnline_schemas.errors import ConfigurationError
from turnline_schemas.event_data import Data, EventData, SourceAdded
from turnline_schemas.message import describe
from turnline_schemas.storable import check_storable
from turnline_workers.interaction.model import ToolSpec
from turnline_workers.interaction.pause import Desk

Effects = Literal["pure", "idempotent", "unsafe"]

DEFAULT_TIMEOUT = 60.0


class ToolError(Exception):
    """Raise it in a tool to tell the model what went wrong, in these words."""


class ToolContext:
    """What a tool may know and do beside its arguments; a parameter of this type is given one."""

    def __init__(
        self, call: str, step: str, turn: str, session: str, context: dict[str, Any], desk: Desk
    ) -> None:
        self.key = call
        """The same in every attempt at this call: use it as an idempotency key."""
        self.turn = turn
        self.session = session
        self.context = context
        """The turn's context, as its producer gave it."""
        self.told: list[EventData] = []
        """What it has told and nobody has published yet."""
        self._desk = desk
        self._step = step
        self._sources = 1000 * int(call.rpartition(".")[2])

    def tell(self, name: str, value: JsonValue, *, transient: bool = False) -> None:
        """Send readers a ``data`` event; it is no part of the conversation."""
        self.told.append(Data(name=name, value=value, transient=transient))

    def source(self, title: str, *, url: str | None = None, text: str = "") -> None:
        """Name something that the result rests on."""
        id_ = f"{self._step}.{self._sources}"
        self._sources += 1
        self.told.append(SourceAdded(source=id_, title=title, url=url, text=text))

    def ask(
        self,
        kind: str,
        payload: JsonValue = None,
        *,
        schema: dict[str, Any] | None = None,
        expires_in: timedelta | None = None,
    ) -> Any:
        """Return a person's answer; the turn pauses until there is one (see ``Desk.ask``)."""
        return self._desk.ask(kind, payload, schema=schema, expires_in=expires_in)


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call; its signature tells the model how."""

    run: Callable[..., Any]
    name: str = ""
    """The function's own unless given."""
    description: str = ""
    """The function's docstring unless given."""
    effects: Effects = "unsafe"
    """What a second run would do after a crash left the first one's result unknown: nothing
    (``pure``), nothing more than the first if it has the same key (``idempotent``), or harm
    (``unsafe``): then the turn pauses and a person decides."""
    timeout: float = DEFAULT_TIMEOUT
    """Seconds, after which the model is told that it took too long."""
    _arguments: type[BaseModel] = field(init=False, repr=False)
    _context: str | None = field(init=False, repr=False)
    spec: ToolSpec = field(init=False, repr=False)

    def __post_init__(self) -> None:
        name = self.name or getattr(self.run, "__name__", "")
        if not name.isidentifier():
            raise ConfigurationError(f"a tool needs a name, such as 'get_weather', not {name!r}")
        description = self.description or inspect.getdoc(self.run) or ""
        arguments, context = _signature(name, self.run)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "description", description)
        object.__setattr__(self, "_arguments", arguments)
        object.__setattr__(self, "_context", context)
        schema = arguments.model_json_schema()
        schema.pop("title", None)
        object.__setattr__(self, "spec", ToolSpec(name, description, schema))

    async def call(self, arguments: JsonValue, context: ToolContext) -> tuple[JsonValue, bool]:
        """Run the tool; return its output, and whether that is an error.

        Whatever goes wrong is told to the model, which may try something else.
        """
        try:
            checked = self._arguments.model_validate(arguments)
        except ValidationError as error:
            return failure("invalid_arguments", describe(error)), True
        given = {name: getattr(checked, name) for name in type(checked).model_fields}
        if self._context is not None:
            given[self._context] = context
        try:
            async with asyncio.timeout(self.timeout):
                result = await self._awaited(given)
        except TimeoutError:
            return failure("tool_timeout", f"no result within {self.timeout:g} s"), True
        except ToolError as error:
            return failure("tool_error", str(error)), True
        except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 - the model's
            return failure("tool_error", f"{type(error).__name__}: {error}"), True
        return _output(result)

    async def _awaited(self, given: dict[str, Any]) -> Any:
        if inspect.iscoroutinefunction(self.run):
            return await self.run(**given)
        return await asyncio.to_thread(self.run, **given)


def failure(code: str, message: str) -> JsonValue:
    """Return the output of a call that failed."""
    return {"error": code, "message": message}


def _output(result: Any) -> tuple[JsonValue, bool]:
    try:
        output: JsonValue = to_jsonable_python(result)
        check_storable(output)
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        return failure("tool_error", f"its result cannot be stored: {error}"), True
    return output, False


def _signature(name: str, run: Callable[..., Any]) -> tuple[type[BaseModel], str | None]:
    """Return a model of the arguments, and the parameter that takes the context."""
    try:
        hints = get_type_hints(run, include_extras=True)
    except NameError as error:
        raise ConfigurationError(f"tool {name!r}: {error}") from error
    fields: dict[str, Any] = {}
    context = None
    for parameter in inspect.signature(run).parameters.values():
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            raise ConfigurationError(f"tool {name!r} must name its parameters, without * and **")
        hint = hints.get(parameter.name, Any)
        if hint is ToolContext:
            context = parameter.name
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hint, default)
    model = create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
    return model, context

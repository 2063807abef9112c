"""Tools: functions that a model may call."""

import asyncio
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Literal, get_args

from pydantic import JsonValue, ValidationError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from turnline_schemas.errors import ConfigurationError
from turnline_schemas.event_data import Data, EventData, SourceAdded
from turnline_schemas.message import describe
from turnline_schemas.storable import check_storable, storable
from turnline_workers.errors import PauseExpiredError
from turnline_workers.interaction.foreign import called, in_words, pause_in, was_cancelled
from turnline_workers.interaction.model import ToolSpec
from turnline_workers.interaction.pause import Desk
from turnline_workers.interaction.signature import Signature, signature_of

Effects = Literal["pure", "idempotent", "unsafe"]

DEFAULT_TIMEOUT = 60.0

NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Names that OpenAI and Anthropic take."""


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
        """Send readers a ``data`` event; it is no part of the conversation.

        Raises:
            ValueError: the value is no JSON, or holds what cannot be stored.
        """
        self._tell(Data(name=name, value=value, transient=transient))

    def source(self, title: str, *, url: str | None = None, text: str = "") -> None:
        """Name something that the result rests on.

        Raises:
            ValueError: a text holds what cannot be stored.
        """
        id_ = f"{self._step}.{self._sources}"
        self._sources += 1
        self._tell(SourceAdded(source=id_, title=title, url=url, text=text))

    def _tell(self, event: EventData) -> None:
        check_storable(event)
        self.told.append(event)

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
    _signature: Signature = field(init=False, repr=False)
    spec: ToolSpec = field(init=False, repr=False)

    def __post_init__(self) -> None:
        name = self.name or getattr(self.run, "__name__", "")
        if not NAME.fullmatch(name):
            raise ConfigurationError(
                f"a tool is called {name!r}; providers take 1 to 64 of A-Z a-z 0-9 _ -,"
                " such as 'get_weather'"
            )
        if self.effects not in get_args(Effects):
            known = ", ".join(map(repr, get_args(Effects)))
            raise ConfigurationError(f"tool {name!r}: effects is {self.effects!r}, not {known}")
        if not self.timeout > 0:
            raise ConfigurationError(f"tool {name!r}: timeout is {self.timeout}, not positive")
        description = self.description or inspect.getdoc(self.run) or ""
        signature = signature_of(name, self.run, ToolContext)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "description", description)
        object.__setattr__(self, "_signature", signature)
        object.__setattr__(self, "spec", ToolSpec(name, description, signature.schema))

    async def call(self, arguments: JsonValue, context: ToolContext) -> tuple[JsonValue, bool]:
        """Run the tool; return its output, and whether that is an error.

        Whatever goes wrong is told to the model, which may try something else.

        Raises:
            Pause: it asks.
            PauseExpiredError: nobody answered what it asked; it does not go on without.
        """
        try:
            given = self._signature.arguments(arguments, context)
        except ValidationError as error:
            return failure("invalid_arguments", describe(error)), True
        try:
            async with asyncio.timeout(self.timeout) as limit:
                result = await called(self.run, **given)
        except (PauseExpiredError, GeneratorExit):
            raise
        except ToolError as error:
            return failure("tool_error", str(error)), True
        except asyncio.CancelledError as error:
            if was_cancelled():
                raise
            return failure("tool_error", in_words(error)), True
        except BaseException as error:
            if (pause := pause_in(error)) is not None:
                raise pause from error
            if isinstance(error, TimeoutError) and limit.expired():
                return failure("tool_timeout", f"no result within {self.timeout:g} s"), True
            # Anything else is for the model to know: sys.exit() in a tool must not end the worker.
            return failure("tool_error", in_words(error)), True
        return _output(result)


def failure(code: str, message: str) -> JsonValue:
    """Return the output of a call that failed."""
    return {"error": code, "message": storable(message)}


def _output(result: Any) -> tuple[JsonValue, bool]:
    try:
        output: JsonValue = to_jsonable_python(result)
        check_storable(output)
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        return failure("tool_error", f"its result cannot be stored: {in_words(error)}"), True
    return output, False

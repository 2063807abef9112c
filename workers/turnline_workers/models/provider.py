"""Models of real providers, through pydantic-ai, which is imported when one of them is used."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from pydantic import JsonValue
from pydantic_core import to_jsonable_python

from turnline_schemas.errors import ConfigurationError
from turnline_schemas.event_data import Usage
from turnline_workers.errors import ModelError
from turnline_workers.interaction.model import Delta, End, ModelCall, ModelItem, ToolCallDelta

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelResponse, ModelResponseStreamEvent
    from pydantic_ai.models import Model

EXTRA: Final = "pip install 'turnline[models]'"

OFFLINE: Final = frozenset({"test", "function"})
"""Stand-ins of pydantic-ai for models, which end without saying why."""

FINISH: Final = {"tool_call": "tool_calls"}
"""Reasons to stop that we call otherwise."""


class ProviderModel:
    """A model of any provider that pydantic-ai knows, such as ``openai:gpt-5-mini``."""

    def __init__(
        self, model: "str | Model", *, settings: Mapping[str, JsonValue] | None = None
    ) -> None:
        """Import nothing and connect to nothing yet.

        Args:
            model: ``provider:model``, or a model object of pydantic-ai, for one with a client of
                its own.
            settings: pydantic-ai's model settings, such as ``temperature`` or ``thinking``.

        Raises:
            ConfigurationError: pydantic-ai is not installed, or the name names no provider.
        """
        if find_spec("pydantic_ai") is None:
            raise ConfigurationError(f"model {model!r} needs pydantic-ai: {EXTRA}")
        if isinstance(model, str) and not all(model.partition(":")):
            raise ConfigurationError(
                f"there is no model {model!r}; name its provider, such as 'openai:{model}',"
                " or use 'builtin', which needs none"
            )
        self._model = model
        # The retries are ours: an SDK that retries by itself would hide them from readers.
        self._settings = {"max_retries": 0, **(settings or {})}
        self._connections: WeakKeyDictionary[asyncio.AbstractEventLoop, _Connections]
        self._connections = WeakKeyDictionary()
        self.name = model if isinstance(model, str) else f"{model.system}:{model.model_name}"

    def check(self) -> None:
        """Import what it needs, and look for its key; may take a second.

        Raises:
            ConfigurationError: saying what to install or which variable to set.
        """
        self._built()

    async def stream(self, call: ModelCall) -> AsyncGenerator[ModelItem]:
        """Answer ``call``; closing the stream ends the provider's request.

        Raises:
            ModelError: the provider failed, or refused.
        """
        from pydantic_ai.direct import model_request_stream
        from pydantic_ai.models import ModelRequestParameters
        from pydantic_ai.settings import ModelSettings
        from pydantic_ai.tools import ToolDefinition

        from turnline_workers.models.provider_errors import told
        from turnline_workers.models.provider_messages import provider_messages

        tools = [
            ToolDefinition(
                name=tool.name, description=tool.description, parameters_json_schema=tool.parameters
            )
            for tool in call.tools
        ]
        try:
            model = await self._connected()
            async with model_request_stream(
                model,
                provider_messages(call),
                model_settings=ModelSettings(**self._settings),  # type: ignore[typeddict-item]
                model_request_parameters=ModelRequestParameters(function_tools=tools),
            ) as stream:
                pieces = _Pieces()
                async for event in stream:
                    for item in pieces.items(event):
                        yield item
            answer = stream.get()
        except (ModelError, ConfigurationError):
            raise
        except Exception as error:
            raise told(self.name, error) from error
        if answer.finish_reason is not None or model.system in OFFLINE:
            yield _end(answer)

    async def aclose(self) -> None:
        """Close the connections of this event loop; the next call opens new ones."""
        ours = self._connections.pop(asyncio.get_running_loop(), None)
        if ours is not None:
            await ours.stack.aclose()

    async def _connected(self) -> "Model":
        """Return the model with connections of this event loop; they cannot be used in another."""
        ours = self._connections.setdefault(asyncio.get_running_loop(), _Connections())
        async with ours.opening:
            if ours.model is None:
                model = self._built()
                await ours.stack.enter_async_context(model)
                ours.model = model
        return ours.model

    def _built(self) -> "Model":
        from pydantic_ai.exceptions import UserError
        from pydantic_ai.models import infer_model

        try:
            return infer_model(self._model)
        except (UserError, ImportError) as error:
            # The first sentence says it; others are about pydantic-ai's own testing.
            problem = re.split(r"(?<=\.)\s|\n", str(error), maxsplit=1)[0]
            raise ConfigurationError(f"model {self.name!r}: {problem}") from error


class _Connections:
    """A model, once somebody has used it in an event loop."""

    def __init__(self) -> None:
        self.opening = asyncio.Lock()
        self.stack = AsyncExitStack()
        self.model: Model | None = None


class _Pieces:
    """Turns what pydantic-ai streams into what we stream."""

    def __init__(self) -> None:
        self._calls: dict[int, int] = {}
        """Part of the answer -> which call of it."""

    def items(self, event: "ModelResponseStreamEvent") -> Iterator[ModelItem]:
        """Return what one event says; most say one thing, some nothing that we know."""
        from pydantic_ai import messages

        match event:
            case messages.PartStartEvent(index=index, part=messages.ToolCallPart() as part):
                self._calls[index] = len(self._calls)
                yield ToolCallDelta(self._calls[index], part.tool_name, _json_text(part.args))
            case messages.PartStartEvent(part=messages.TextPart(content=text)) if text:
                yield Delta(text)
            case messages.PartStartEvent(part=messages.ThinkingPart(content=text)) if text:
                yield Delta(text, "reasoning")
            case messages.PartDeltaEvent(delta=messages.TextPartDelta(content_delta=text)):
                yield Delta(text)
            case messages.PartDeltaEvent(delta=messages.ThinkingPartDelta(content_delta=text)):
                if text:
                    yield Delta(text, "reasoning")
            case messages.PartDeltaEvent(index=index, delta=messages.ToolCallPartDelta() as delta):
                yield ToolCallDelta(self._calls[index], "", _json_text(delta.args_delta))
            case _:
                return


def _json_text(arguments: str | dict[str, Any] | None) -> str:
    if isinstance(arguments, str) or arguments is None:
        return arguments or ""
    return json.dumps(arguments)


def _end(answer: "ModelResponse") -> End:
    from pydantic_ai.messages import ModelMessagesTypeAdapter

    called = any(part.part_kind == "tool-call" for part in answer.parts)
    # Not every provider says so when it stopped in order to call.
    reason = "tool_calls" if called else answer.finish_reason or "stop"
    used = Usage(input=answer.usage.input_tokens, output=answer.usage.output_tokens)
    details: JsonValue = to_jsonable_python(answer.usage, exclude_none=True)
    # What was said is in the message; what is left is what only the provider can read.
    unsaid = replace(answer, parts=[part for part in answer.parts if part.part_kind != "text"])
    raw = ModelMessagesTypeAdapter.dump_python([unsaid], mode="json")[0]
    return End(FINISH.get(reason, reason), used, raw=raw, raw_usage=details)

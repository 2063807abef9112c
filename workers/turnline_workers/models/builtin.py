"""The offline model: needs no network, and answers the same input with the same stream."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from turnline_schemas.event_data import Usage
from turnline_schemas.message import describe
from turnline_workers.errors import ModelError
from turnline_workers.interaction.model import Delta, End, ModelCall, ModelItem, ToolCallDelta
from turnline_workers.interaction.parts import fields_of, parts_of

BUILTIN: Final = "builtin"
CONTEXT_KEY: Final = "builtin"
"""Key of a turn's context that steers the offline model; see ``Script``."""


class ScriptedCall(BaseModel):
    """One call of a tool."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    arguments: dict[str, JsonValue] = Field(default_factory=dict)


class Script(BaseModel):
    """How the offline model behaves in one turn: ``context={"builtin": {...}}``.

    For demos, load tests and rehearsals of failure, without a provider.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str | None = None
    """What to answer; the default tells what it heard."""
    reasoning: str = ""
    """Streamed before the answer."""
    delay: Annotated[float, Field(ge=0, le=60)] | None = None
    """Seconds before each delta; the default is the worker's ``TURNLINE_BUILTIN_DELAY``."""
    deltas: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Answer in exactly so many deltas (``word-1 word-2 ...``), unless ``text`` is given."""
    fail_after: Annotated[int, Field(ge=0)] | None = None
    """Fail after so many deltas."""
    calls: tuple[ScriptedCall, ...] = ()
    """Tools to call, all at once, before it answers."""


@dataclass(frozen=True, slots=True)
class BuiltinModel:
    """Says what it heard, word by word.

    A message of lines such as ``get_weather {"city": "Oslo"}`` calls those tools, side by side.
    """

    delay: float = 0.0
    """Seconds before each delta."""
    name: str = BUILTIN

    async def stream(self, call: ModelCall) -> AsyncIterator[ModelItem]:
        """Answer ``call``; the turn's context may steer it, see ``Script``.

        Raises:
            ModelError: the script asks for a failure, or is itself wrong.
        """
        script = _script(call.context.get(CONTEXT_KEY, {}))
        delay = self.delay if script.delay is None else script.delay
        wanted = script.calls or _asked_for(call)
        if wanted and call.messages[-1].role == "user":
            for index, each in enumerate(wanted):
                yield ToolCallDelta(index, each.name, json.dumps(each.arguments))
            yield End("tool_calls", Usage(input=_tokens(call), output=len(wanted)))
            return
        pieces = [Delta(piece, "reasoning") for piece in _words(script.reasoning)]
        pieces += [Delta(piece) for piece in _words(_reply(call, script))]
        for number, piece in enumerate(pieces):
            if number == script.fail_after:
                raise ModelError(f"the offline model fails after {number} deltas, as it was told")
            if delay:
                await asyncio.sleep(delay)
            yield piece
        yield End(usage=Usage(input=_tokens(call), output=len(pieces)))


def _script(raw: Any) -> Script:
    try:
        return Script.model_validate(raw)
    except ValidationError as error:
        raise ModelError(f"context.{CONTEXT_KEY}: {describe(error)}") from error


def _asked_for(call: ModelCall) -> tuple[ScriptedCall, ...]:
    """Return the calls that the message is made of; none if a line of it is something else."""
    known = {tool.name for tool in call.tools}
    wanted = []
    for line in call.messages[-1].text.splitlines():
        name, _, text = line.strip().partition(" ")
        try:
            arguments = json.loads(text or "{}")
        except ValueError:
            return ()
        if name not in known or not isinstance(arguments, dict):
            return ()
        wanted.append(ScriptedCall(name=name, arguments=arguments))
    return tuple(wanted)


def _reply(call: ModelCall, script: Script) -> str:
    if script.text is not None:
        return script.text
    if script.deltas is not None:
        return " ".join(f"word-{number}" for number in range(1, script.deltas + 1))
    results = [part for part in parts_of(call.messages[-1]) if part.type == "tool-result"]
    if results:
        each = [(fields["name"], fields["output"]) for fields in map(fields_of, results)]
        return "\n".join(f"{name} says {json.dumps(said)}" for name, said in each)
    said = [message.text for message in call.messages if message.role == "user"]
    return f"Turn {len(said)}. You said: {said[-1].strip()}"


def _words(text: str) -> list[str]:
    """Split ``text`` into words with the space before them, so that joining gives it back."""
    return re.findall(r"\s*\S+|\s+$", text)


def _tokens(call: ModelCall) -> int:
    return sum(len(_words(message.text)) for message in call.messages)

"""The step that runs the tools a model called: side by side, each once, and never blindly again."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import JsonValue

from turnline_schemas.event_data import EventData, ToolResult, TraceEntry
from turnline_schemas.message import Message
from turnline_workers.interaction.journal import UNKNOWN_OUTCOME, Done, Entry, Record, lost
from turnline_workers.interaction.parts import call_of, fields_of, parts_of
from turnline_workers.interaction.pause import Pause
from turnline_workers.interaction.state import Run, TurnState
from turnline_workers.interaction.tools import Tool, ToolContext, failure

ToolsStep = Callable[[TurnState], AsyncGenerator[EventData | TurnState | Record | TraceEntry]]

DECISION: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "decision": {"enum": ["done", "retry", "fail"]},
        "result": {"description": "with 'done': what the call returned"},
    },
    "required": ["decision"],
    "additionalProperties": False,
}
"""What a person answers who was asked what became of an unsafe call."""


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call, as it stands in a message."""

    id: str
    name: str
    arguments: JsonValue


def calls_in(messages: tuple[Message, ...]) -> Iterator[Call]:
    """Yield the tool calls of messages, in order."""
    for message in messages:
        for part in parts_of(message):
            if part.type == "tool-call":
                fields = fields_of(part)
                yield Call(fields["call"], fields["name"], fields.get("arguments"))


def answered_in(messages: tuple[Message, ...]) -> set[str]:
    """Return the ids of calls that have results."""
    return {
        call_of(part)
        for message in messages
        for part in parts_of(message)
        if part.type == "tool-result"
    }


def open_calls(turn: TurnState) -> bool:
    """Say whether the turn has calls without results."""
    return bool(pending(turn))


def pending(turn: TurnState) -> list[Call]:
    """Return the turn's calls that have no results."""
    answered = answered_in(turn.messages)
    return [call for call in calls_in(turn.messages) if call.id not in answered]


def tools_step(tools: Mapping[str, Tool]) -> ToolsStep:
    """Return the step that runs ``tools``."""

    async def run_tools(
        turn: TurnState,
    ) -> AsyncGenerator[EventData | TurnState | Record | TraceEntry]:
        run, waiting = turn.run, []
        for call in pending(turn):
            done = run.journal.done("tool", call.id)
            if done is None:
                waiting.append(call)
                continue
            for told in done.told():
                yield told
        decided = [_decided(call, turn) for call in waiting if _unknown(call, tools, run)]
        if unsafe := [call for call in waiting if _is_unsafe(call, tools)]:
            yield Record(tuple(Entry("began", run.journal.run_of(call.id)) for call in unsafe))
        jobs = [_Job(call, tools, turn, dict(decided).get(call.id)) for call in waiting]
        async for job in _as_they_end(jobs):
            for told in job.done.told():
                yield told
            yield Record((job.done.entry("tool", job.call.id),))
        pauses = {job.call.id: job.pause for job in jobs if job.pause is not None}
        if pauses:
            yield Record(tuple(Entry("asked", run.journal.run_of(call)) for call in pauses))
            raise next(iter(pauses.values()))

    return run_tools


def _is_unsafe(call: Call, tools: Mapping[str, Tool]) -> bool:
    tool = tools.get(call.name)
    return tool is not None and tool.effects == "unsafe"


def _unknown(call: Call, tools: Mapping[str, Tool], run: Run) -> bool:
    return _is_unsafe(call, tools) and run.journal.began(run.journal.run_of(call.id))


def _decided(call: Call, turn: TurnState) -> tuple[str, dict[str, Any]]:
    """Return whether a person said ``done`` or ``fail`` to a call whose result was lost; ask, if
    nobody said anything."""
    journal = turn.run.journal
    desk = journal.desk(lost(journal.run_of(call.id)))
    payload = {"call": call.id, "tool": call.name, "arguments": call.arguments}
    return call.id, desk.ask(UNKNOWN_OUTCOME, payload, schema=DECISION)


class _Job:
    """One call, from its begin to its result."""

    def __init__(
        self,
        call: Call,
        tools: Mapping[str, Tool],
        turn: TurnState,
        decided: dict[str, Any] | None,
    ) -> None:
        self.call = call
        self._tools = tools
        self._turn = turn
        self._decided = decided
        self.done = Done(())
        self.pause: Pause | None = None
        """Set if the call asks instead of ending."""

    async def run(self) -> None:
        """Run the call; ``done`` or ``pause`` tells what came of it."""
        try:
            await self._run()
        except Pause as pause:
            self.pause = pause

    async def _run(self) -> None:
        turn, call = self._turn, self.call
        begin = turn.run.clock()
        context = ToolContext(
            call.id,
            turn.desk.id,
            turn.turn,
            turn.session,
            turn.context,
            turn.run.journal.desk(call.id),
        )
        output, is_error = await self._output(context)
        code = _code(output) if is_error else None
        result = ToolResult(call=call.id, name=call.name, output=output, is_error=is_error)
        took = round((turn.run.clock() - begin) * 1000)
        trace = TraceEntry(kind="tool", id=call.id, name=call.name, duration_ms=took, error=code)
        self.done = Done((*context.told, result), (trace,))

    async def _output(self, context: ToolContext) -> tuple[JsonValue, bool]:
        match (self._decided or {}).get("decision"):
            case "done":
                return (self._decided or {}).get("result"), False
            case "fail":
                return failure("tool_error", "it was interrupted and given up"), True
        tool = self._tools.get(self.call.name)
        if tool is None:
            known = ", ".join(self._tools) or "none"
            text = f"there is no tool {self.call.name!r}; there are: {known}"
            return failure("tool_not_found", text), True
        if not isinstance(self.call.arguments, dict):
            text = f"the arguments are no JSON object: {json.dumps(self.call.arguments)[:200]}"
            return failure("invalid_arguments", text), True
        return await tool.call(self.call.arguments, context)


def _code(output: JsonValue) -> str:
    return str(output.get("error", "tool_error")) if isinstance(output, dict) else "tool_error"


async def _as_they_end(jobs: list[_Job]) -> AsyncGenerator[_Job]:
    """Run all jobs at once and yield each as it ends, but for those that ask."""
    tasks = {asyncio.ensure_future(job.run()): job for job in jobs}
    try:
        waiting = set(tasks)
        while waiting:
            ended, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(ended, key=lambda each: jobs.index(tasks[each])):
                task.result()
                if tasks[task].pause is None:
                    yield tasks[task]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

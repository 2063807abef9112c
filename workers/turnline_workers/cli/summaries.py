"""What an event says, on one line."""

import json
import shlex
from typing import Final

from pydantic import JsonValue

from turnline_schemas.event import Event
from turnline_schemas.event_data import (
    AttemptSuperseded,
    Data,
    Diagnostic,
    EventData,
    SessionReset,
    SourceAdded,
    StepCompleted,
    StepReset,
    StepStarted,
    TextDelta,
    ToolReady,
    ToolResult,
    TurnCancelled,
    TurnDead,
    TurnFailed,
    TurnPaused,
    TurnResumed,
    TurnStarted,
)
from turnline_workers.cli.spoken import as_json, calling, returning

_SHOWN: Final = 100
"""Characters of a text."""


def summary(event: Event) -> str:
    """Return what matters of an event, for a list of events."""
    data, turn = event.data, _short(event.turn)
    match data:
        case TextDelta(delta=delta):
            return repr(delta[:_SHOWN])
        case TurnStarted(input=said):
            return f"{turn} attempt {event.attempt}: {said.text[:_SHOWN]!r}"
        case AttemptSuperseded(attempt=attempt, reason=reason):
            return f"{turn} attempt {attempt} died ({reason}); erase what it showed"
        case TurnFailed(code=code, message=message) | TurnDead(code=code, message=message):
            return f"{turn} {code}: {message}"
        case TurnCancelled(reason=reason):
            return f"{turn} {reason}"
        case SessionReset():
            return _reset(data)
        case TurnPaused(kind=kind, payload=payload):
            return f"{turn} waits for {kind}: {_json(payload)}"
        case TurnResumed(value=value):
            return f"{turn} goes on with {_json(value)}"
        case _:
            return _detail(data) or turn


def _reset(data: SessionReset) -> str:
    told = f"{data.requested} cannot be continued ({data.reason}); going on from {data.cursor}"
    if data.snapshot is None:
        return told
    return f"{told}, {len(data.snapshot.transcript)} messages in the snapshot"


def _detail(data: EventData) -> str:
    """Return what a step or a tool tells; empty for what speaks for itself."""
    match data:
        case ToolReady() | ToolResult():
            return called(data)
        case StepStarted(name=name) | StepCompleted(name=name):
            return name
        case StepReset(reason=reason):
            return f"{reason}; erase what the step showed"
        case Diagnostic(code=code, message=message):
            return f"{code}: {message}"
        case SourceAdded(title=title, url=url):
            return f"{title} {url or ''}".rstrip()
        case Data(name=name, value=value):
            return f"{name} {_json(value)}"
        case _:
            return ""


def called(data: ToolReady | ToolResult) -> str:
    """Return a call of a tool, or its result."""
    if isinstance(data, ToolReady):
        return calling(data.name, data.arguments, _SHOWN)
    return returning(data.name, data.output, _SHOWN, failed=data.is_error)


def answer_with(event: Event) -> str:
    """Return what a paused turn asks, and the command that answers it."""
    assert isinstance(event.data, TurnPaused)
    wanted = json.dumps(event.data.answer_schema) if event.data.answer_schema else "any JSON"
    command = f"turnline resume {shlex.quote(event.turn or '')} --value JSON --follow"
    asked = f"the turn waits for {event.data.kind}: {_json(event.data.payload)}"
    return f"{asked}\nanswer ({wanted}) with: {command}"


def _json(value: JsonValue) -> str:
    return as_json(value, _SHOWN)


def _short(turn: str | None) -> str:
    return "" if turn is None else turn if len(turn) <= 12 else f"..{turn[-10:]}"

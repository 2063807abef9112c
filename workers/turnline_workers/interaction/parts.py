"""The parts of messages that tools are about."""

from typing import Any

from pydantic import JsonValue

from turnline_schemas.message import Message, Part


def parts_of(message: Message) -> tuple[Part, ...]:
    """Return the message's parts; plain text has none."""
    return () if isinstance(message.content, str) else message.content.parts


def fields_of(part: Part) -> dict[str, Any]:
    """Return what the part says beside its type."""
    return part.model_extra or {}


def call_of(part: Part) -> str:
    """Return the id of the call that the part makes or answers."""
    return str(fields_of(part).get("call"))


def result_part(call: str, name: str, output: JsonValue, *, is_error: bool) -> Part:
    """Return a tool's answer as a part of a message."""
    fields = {"call": call, "name": name, "output": output, "is_error": is_error}
    return Part.model_validate({"type": "tool-result", **fields})

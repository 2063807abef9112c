"""Messages as text, for people who read them in a terminal."""

import json

from pydantic import JsonValue

from turnline_schemas.message import Message, Part
from turnline_workers.interaction.parts import fields_of, parts_of

LONGEST = 400
"""Characters of what a tool was given, or returned, that are shown."""


def spoken(message: Message) -> str:
    """Return a message on one line or more: its text, and what it holds beside text."""
    parts = parts_of(message)
    if not parts:
        return message.text
    pieces = [_spoken(part) for part in parts]
    if message.text and not any(part.type == "text" for part in parts):
        pieces.insert(0, message.text)
    return " ".join(piece for piece in pieces if piece)


def _spoken(part: Part) -> str:
    fields = fields_of(part)
    match part.type:
        case "text":
            return str(fields.get("text", ""))
        case "reasoning":
            return f"(thinks: {_cut(str(fields.get('text', '')))})"
        case "tool-call":
            return f"[calls {fields.get('name')} {_json(fields.get('arguments'))}]"
        case "tool-result":
            failed = " failed:" if fields.get("is_error") else ""
            return f"[{fields.get('name')}{failed} {_json(fields.get('output'))}]"
        case "data":
            return f"[{fields.get('name', 'data')} {_json(fields.get('value'))}]"
        case _:
            return f"[{part.type} {fields.get('url') or fields.get('media_type') or ''}]"


def _json(value: JsonValue) -> str:
    return _cut(json.dumps(value, ensure_ascii=False))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."

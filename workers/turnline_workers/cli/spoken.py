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
            return calling(fields.get("name"), fields.get("arguments"), LONGEST)
        case "tool-result":
            failed = bool(fields.get("is_error"))
            return returning(fields.get("name"), fields.get("output"), LONGEST, failed=failed)
        case "data":
            return f"[{fields.get('name', 'data')} {as_json(fields.get('value'), LONGEST)}]"
        case _:
            return f"[{part.type} {fields.get('url') or fields.get('media_type') or ''}]"


def calling(name: object, arguments: JsonValue, longest: int) -> str:
    """Return a call of a tool as text."""
    return f"[calls {name} {as_json(arguments, longest)}]"


def returning(name: object, output: JsonValue, longest: int, *, failed: bool) -> str:
    """Return what a tool answered as text."""
    return f"[{name}{' failed:' if failed else ''} {as_json(output, longest)}]"


def as_json(value: JsonValue, longest: int) -> str:
    """Return a value as JSON, cut to so many characters."""
    return _cut(json.dumps(value, ensure_ascii=False), longest)


def _cut(text: str, longest: int = LONGEST) -> str:
    return text if len(text) <= longest else f"{text[:longest]}..."

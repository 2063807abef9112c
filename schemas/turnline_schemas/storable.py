"""What Postgres can keep as JSON, and any parser on the way can read."""

from collections.abc import Iterable
from math import isfinite
from typing import Final

from pydantic import BaseModel

MAX_DEPTH: Final = 64
"""Deepest nesting of what a message carries."""


def check_storable(value: object, depth: int = 0) -> None:
    """Return if ``value`` can be stored as JSON.

    Raises:
        ValueError: it holds NUL, lone surrogates or numbers that JSON has not, or is nested
            too deeply.
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, float) and not isfinite(value):
        raise ValueError(f"{value} is no JSON number")
    else:
        for item in _inside(value):
            check_storable(item, depth + 1)


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise ValueError("NUL characters cannot be stored; remove \\u0000")
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("lone surrogates are no text and cannot be stored")


def _inside(value: object) -> Iterable[object]:
    match value:
        case BaseModel():
            return [*dict(value).values(), *(value.model_extra or {}).values()]
        case dict():
            return [*value.keys(), *value.values()]
        case list() | tuple():
            return value
        case _:
            return ()

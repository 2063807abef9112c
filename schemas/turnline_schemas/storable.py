"""What Postgres can keep as JSON, and any parser on the way can read."""

from collections.abc import Iterable
from math import isfinite
from typing import Any, Final

from pydantic import BaseModel

MAX_DEPTH: Final = 64
"""Deepest nesting of what a message carries."""

MAX_BITS: Final = 4096
"""Longest whole number; Python and Postgres stop somewhere beyond."""


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
    elif isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise ValueError(f"a whole number of more than {MAX_BITS} bits cannot be stored")
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


def storable(value: Any) -> Any:
    """Return ``value`` without what cannot be stored in text, NUL and lone surrogates, so that
    the stored equals the published."""
    match value:
        case str():
            return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
        case dict():
            return {storable(key): storable(each) for key, each in value.items()}
        case list() | tuple():
            return [storable(each) for each in value]
        case _:
            return value

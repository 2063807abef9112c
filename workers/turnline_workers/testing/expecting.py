"""How a rule says what is wrong."""

from collections.abc import Sequence
from typing import Any

SHOWN = 300
"""Characters of a value that a text shows."""


def expect(what: str, found: object, wanted: object) -> None:
    """Return if both are equal.

    Raises:
        AssertionError: they are not; ``assert`` would say nothing under ``python -O``.
    """
    if found != wanted:
        raise AssertionError(f"{what}: expected {short(wanted)}, found {short(found)}")


def expect_list(what: str, found: Sequence[Any], wanted: Sequence[Any]) -> None:
    """Return if both hold the same, in the same order."""
    expect(f"number of {what}s", len(found), len(wanted))
    for place, (one, other) in enumerate(zip(found, wanted, strict=True), start=1):
        expect(f"{what} {place} of {len(wanted)}", one, other)


def short(value: object) -> str:
    """Return the beginning of what ``value`` looks like."""
    text = repr(value)
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."

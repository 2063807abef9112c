"""Arithmetic of tokens."""

from turnline_schemas.event_data import Usage


def plus(one: Usage, other: Usage) -> Usage:
    """Add tokens."""
    return Usage(input=one.input + other.input, output=one.output + other.output)


def minus(one: Usage, other: Usage) -> Usage:
    """Return the tokens by which ``one`` is more."""
    return Usage(input=one.input - other.input, output=one.output - other.output)

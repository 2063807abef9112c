"""What providers sent, as they sent it: kept beside the conversation, shown to no reader."""

from collections.abc import Mapping
from dataclasses import replace

from pydantic import JsonValue
from pydantic_core import to_jsonable_python

from turnline_schemas.storable import storable
from turnline_workers.interaction.state import InteractionState

RAW = "raw"
"""Key of the private state: ``<source>:raw``, ``<source>:usage`` and ``<source>:error``."""


def raw_of(state: InteractionState, source: str) -> JsonValue:
    """Return what ``source`` sent with its newest answer."""
    kept: Mapping[str, JsonValue] = state.private.get(RAW, {})
    return kept.get(f"{source}:raw")


def with_raw(state: InteractionState, source: str, **sent: JsonValue) -> InteractionState:
    """Return the state with what ``source`` sent last: its ``raw``, ``usage`` or ``error``.

    What is None leaves what was there.
    """
    new = {
        # What is no JSON is kept as text: it is for people.
        f"{source}:{kind}": storable(_json(value))
        for kind, value in sent.items()
        if value is not None
    }
    if not new:
        return state
    private = {**state.private, RAW: {**state.private.get(RAW, {}), **new}}
    return replace(state, private=private)


def _json(value: object) -> JsonValue:
    kept: JsonValue = to_jsonable_python(value, fallback=str, inf_nan_mode="strings")
    return kept

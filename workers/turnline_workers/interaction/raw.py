"""What providers sent, as they sent it: kept beside the conversation, shown to no reader."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import JsonValue

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
    new = {f"{source}:{kind}": storable(value) for kind, value in sent.items() if value is not None}
    if not new:
        return state
    private = {**state.private, RAW: {**state.private.get(RAW, {}), **new}}
    return replace(state, private=private)


def storable(value: Any) -> Any:
    """Return ``value`` without what Postgres cannot store, so that the stored equals the streamed:
    NUL and lone surrogates."""
    match value:
        case str():
            return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
        case dict():
            return {storable(key): storable(each) for key, each in value.items()}
        case list() | tuple():
            return [storable(each) for each in value]
        case _:
            return value

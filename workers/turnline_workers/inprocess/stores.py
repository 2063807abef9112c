"""Where a session's state lives between its turns."""

from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import TypeAdapter

from turnline_schemas.event_data import Diagnostic, TraceEntry
from turnline_workers.interaction.state import InteractionState, ViewMessage

_MESSAGES = TypeAdapter(tuple[ViewMessage, ...])
_DIAGNOSTICS = TypeAdapter(tuple[Diagnostic, ...])
_TRACE = TypeAdapter(tuple[TraceEntry, ...])


class SessionStore(Protocol):
    """Keeps states by session.  ``context`` is what the session was made with, such as a tenant."""

    async def load(self, session: str, context: Mapping[str, Any]) -> InteractionState | None:
        """Return what was saved last; None if nothing was."""
        ...

    async def save(self, session: str, state: InteractionState, context: Mapping[str, Any]) -> None:
        """Keep ``state`` in place of what was saved before."""
        ...

    async def delete(self, session: str, context: Mapping[str, Any]) -> None:
        """Forget the session; nothing happens if it is not known."""
        ...


class MemoryStore:
    """Keeps states in this process, as JSON, so that nobody holds a piece of what is stored."""

    def __init__(self) -> None:
        self._states: dict[str, dict[str, Any]] = {}

    async def load(self, session: str, context: Mapping[str, Any]) -> InteractionState | None:  # noqa: ARG002
        """Return what was saved last; None if nothing was."""
        stored = self._states.get(session)
        return None if stored is None else from_json(stored)

    async def save(
        self,
        session: str,
        state: InteractionState,
        context: Mapping[str, Any],  # noqa: ARG002
    ) -> None:
        """Keep ``state`` in place of what was saved before."""
        self._states[session] = to_json(state)

    async def delete(self, session: str, context: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Forget the session; nothing happens if it is not known."""
        self._states.pop(session, None)


def to_json(state: InteractionState) -> dict[str, Any]:
    """Return a state as JSON.  What a turn was in the middle of is not part of it."""
    return {
        "messages": _MESSAGES.dump_python(state.messages, mode="json"),
        "next_index": state.next_index,
        "last_seq": state.last_seq,
        "diagnostics": _DIAGNOSTICS.dump_python(state.diagnostics, mode="json"),
        "trace": _TRACE.dump_python(state.trace, mode="json"),
        "private": state.private,
    }


def from_json(stored: Mapping[str, Any]) -> InteractionState:
    """Return the state that ``to_json`` was given."""
    return InteractionState(
        messages=_MESSAGES.validate_python(stored["messages"]),
        next_index=stored["next_index"],
        last_seq=stored["last_seq"],
        diagnostics=_DIAGNOSTICS.validate_python(stored["diagnostics"]),
        trace=_TRACE.validate_python(stored["trace"]),
        private=dict(stored["private"]),
    )

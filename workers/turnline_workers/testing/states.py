"""States that are hard to keep."""

from typing import Any, Final

from turnline_schemas.event_data import Diagnostic, TraceEntry
from turnline_schemas.message import Content, Message, Part
from turnline_workers.interaction.state import InteractionState, ViewMessage

TEXT = "Grüße, 世界 🌍 עברית \u2028 \\u0041 \"quoted\" 'q' {b} %s \t\n </script> \x7f"

PRIVATE: dict[str, Any] = {
    "raw": {"provider:usage": {"tokens": [1, 2.5, -3, 10**15], "cached": None, "ok": True}},
    "": {"empty": [{}, [], ""]},
    "text": TEXT,
}

VALUES: Final[tuple[Any, ...]] = (
    2**53 + 1,
    -(2**63) - 1,
    10**30 + 1,
    0.1,
    1e300,
    5e-324,
    3.0,
    "a\x00b",
    "",
    [1, 1.5, True, None],
)
"""Values that some JSON is too small for."""

PAUSE: dict[str, Any] = {
    "turn": "t-2",
    "attempt": 1,
    "input": {"role": "user", "content": TEXT},
    "context": {"tenant": {"id": 7}},
    "entries": [{"kind": "tool", "id": "t-2.1.0", "value": {"result": TEXT}}],
    "pause": "pause-1",
    "answer_schema": {"type": "boolean"},
}


def rich_state() -> InteractionState:
    """Return a state with something in every field that is kept."""
    parts = (
        Part.model_validate({"type": "text", "text": TEXT}),
        Part.model_validate({"type": "tool-call", "id": "c-1", "name": "f", "arguments": {"x": 1}}),
    )
    said = InteractionState().appended(
        "t-1",
        Message(role="user", content=TEXT),
        Message(role="assistant", content=Content(text="Hm", parts=parts, raw={"n": [1, None]})),
        Message(role="tool", content=Content(parts=(), raw=None)),
        Message(role="assistant", content=""),
    )
    summary = ViewMessage(role="system", content="What was said before.", index=None, turn=None)
    return InteractionState(
        messages=(summary, *said.messages),
        next_index=said.next_index,
        last_seq=4_000_000_000,
        diagnostics=(Diagnostic(code="view_changed", message=TEXT),),
        trace=(
            TraceEntry(kind="step", id="t-1.1", name="core.run-model", duration_ms=12),
            TraceEntry(kind="tool", id="c-1", name="f", duration_ms=0, error="tool_error"),
        ),
        private={**PRIVATE, "pause": PAUSE},
    )


def long_state(messages: int) -> InteractionState:
    """Return the state of a conversation of so many messages."""
    said = (
        Message(role="user" if n % 2 else "assistant", content=f"{n}: {TEXT} {'x' * 200}")
        for n in range(messages)
    )
    return InteractionState(last_seq=9).appended("t-long", *said)

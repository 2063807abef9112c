"""Things that tests are about, with defaults for all that does not matter."""

import json
from itertools import count
from typing import Any

_numbers = count(1)


def a_session(name: str = "ses") -> str:
    """Return a session id that no other test uses."""
    return f"{name}-{next(_numbers)}"


def a_turn(session: str, **fields: Any) -> dict[str, Any]:
    """Return a turn as it stands in an inbox, with ``fields`` in place of the defaults."""
    turn = {
        "v": 1,
        "kind": "turn",
        "session": session,
        "turn": f"turn-{next(_numbers)}",
        "message": {"role": "user", "content": "Hello!"},
        "sent_at": "2026-11-22T15:00:00Z",
    }
    return turn | fields


def an_entry(session: str, **fields: Any) -> bytes:
    """Return ``a_turn`` as JSON."""
    return json.dumps(a_turn(session, **fields)).encode()


def saying(text: str) -> dict[str, Any]:
    """Return a context that makes the offline model answer ``text``."""
    return {"builtin": {"text": text}}


def lasting(seconds: float, *, deltas: int = 20) -> dict[str, Any]:
    """Return a context that makes the offline model stream for about ``seconds``."""
    return {"builtin": {"deltas": deltas, "delay": seconds / deltas}}

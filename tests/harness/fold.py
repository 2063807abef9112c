"""An obedient reader: shows what a log says, and erases what it is told to erase."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from harness.truth import Row

Shown = tuple[str, str, Any]
"""Turn, role and content of one message."""

TERMINAL = {"turn.completed", "turn.failed", "turn.cancelled", "turn.dead"}

_DELTAS = {"text.delta": "text", "reasoning.delta": "reasoning"}


class _Attempt:
    """What is shown of one attempt at a turn."""

    def __init__(self) -> None:
        self.input: Any = None
        self.parts: dict[str, tuple[str, list[str]]] = {}

    def messages(self, turn: str) -> list[Shown]:
        shown: list[Shown] = [] if self.input is None else [(turn, "user", self.input["content"])]
        parts = [(kind, "".join(pieces)) for kind, pieces in self.parts.values()]
        text = "".join(said for kind, said in parts if kind == "text")
        if all(kind == "text" for kind, _ in parts):
            return [*shown, (turn, "assistant", text)] if text else shown
        typed = [{"type": kind, "text": said} for kind, said in parts]
        return [*shown, (turn, "assistant", {"text": text, "parts": typed, "raw": None})]


def fold(log: Iterable[Row]) -> list[Shown]:
    """Return the conversation that a reader of the whole log ends with.

    It erases exactly the attempts that it is told are superseded, and no other.
    """
    turns: dict[str, dict[int, _Attempt]] = defaultdict(lambda: defaultdict(_Attempt))
    ended: list[str] = []
    for event in log:
        attempts = turns[event["turn"]]
        kind, data = event["type"], event["data"]
        if kind == "attempt.superseded":
            attempts.pop(data["attempt"], None)
        elif kind == "turn.started":
            attempts[event["attempt"]].input = data["input"]
        elif kind in _DELTAS:
            parts = attempts[event["attempt"]].parts
            parts.setdefault(data["part"], (_DELTAS[kind], []))[1].append(data["delta"])
        elif kind in TERMINAL:
            ended.append(event["turn"])
    return [
        message
        for turn in ended
        for attempt in turns[turn].values()
        for message in attempt.messages(turn)
    ]

"""An obedient reader: shows what a log says, and erases what it is told to erase."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from harness.truth import Row

Shown = tuple[str, str, Any]
"""Turn, role and content of one message."""

TERMINAL = {"turn.completed", "turn.failed", "turn.cancelled", "turn.dead"}

_DELTAS = {"text.delta": "text", "reasoning.delta": "reasoning"}


class _Step:
    """What is shown of one run of a step."""

    def __init__(self) -> None:
        self.parts: dict[str, Row] = {}
        self.sources: list[Row] = []
        self.results: dict[int, Row] = {}

    def messages(self) -> list[tuple[str, Any]]:
        shown: list[tuple[str, Any]] = []
        parts = [part for part in self.parts.values() if part.get("text") != ""]
        text = "".join(part["text"] for part in parts if part["type"] == "text")
        if parts and all(part["type"] == "text" for part in parts):
            shown.append(("assistant", text))
        elif parts:
            shown.append(("assistant", {"text": text, "parts": parts, "raw": None}))
        if self.sources:
            found = "\n\n".join(f"{each['title']}\n{each['text']}".strip() for each in self.sources)
            value = [
                {key: each[key] for key in each if each[key] is not None} for each in self.sources
            ]
            part = {"type": "data", "name": "sources", "value": value}
            shown.append(("tool", {"text": found, "parts": [part], "raw": None}))
        if self.results:
            results = [part for _, part in sorted(self.results.items())]
            shown.append(("tool", {"text": "", "parts": results, "raw": None}))
        return shown


class _Attempt:
    """What is shown of one attempt at a turn."""

    def __init__(self) -> None:
        self.input: Any = None
        self.steps: dict[int, _Step] = defaultdict(_Step)

    def step(self, id_: str) -> _Step:
        return self.steps[int(id_.rsplit(".", 2)[1])]

    def take(self, kind: str, data: Row) -> None:
        if kind in _DELTAS:
            empty = {"type": _DELTAS[kind], "text": ""}
            self.step(data["part"]).parts.setdefault(data["part"], empty)["text"] += data["delta"]
        elif kind == "tool.ready":
            call = {key: data[key] for key in ("call", "name", "arguments")}
            self.step(data["call"]).parts[data["call"]] = {"type": "tool-call", **call}
        elif kind == "tool.result":
            result = {key: data[key] for key in ("call", "name", "output", "is_error")}
            place = int(data["call"].rsplit(".", 1)[1])
            self.step(data["call"]).results[place] = {"type": "tool-result", **result}
        elif kind == "source.added":
            self.step(data["source"]).sources.append(data)
        elif kind == "step.reset":
            self.steps.pop(int(data["step"].rsplit(".", 1)[1]), None)

    def messages(self, turn: str) -> list[Shown]:
        shown: list[Shown] = [] if self.input is None else [(turn, "user", self.input["content"])]
        for _, step in sorted(self.steps.items()):
            shown += [(turn, role, content) for role, content in step.messages()]
        return shown


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
        elif kind in TERMINAL:
            ended.append(event["turn"])
        elif event["attempt"]:
            attempts[event["attempt"]].take(kind, data)
    return [
        message
        for turn in ended
        for attempt in turns[turn].values()
        for message in attempt.messages(turn)
    ]

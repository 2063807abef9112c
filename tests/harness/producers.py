"""Several producer processes at once, and what they enqueued."""

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("produce.py")

Order = dict[str, Any]
"""A turn to enqueue: session, turn, text, context, assistant."""


@dataclass(frozen=True, slots=True)
class Enqueued:
    """One call of ``enqueue`` that returned."""

    session: str
    turn: str
    position: str
    status: str
    called: float
    returned: float


def an_order(session: str, turn: str, **fields: Any) -> Order:
    """Return a turn to enqueue whose answer is known."""
    context = {"builtin": {"text": f"Answer to {turn}"}}
    order = {"session": session, "turn": turn, "text": f"Say {turn}", "context": context}
    return {**order, "assistant": "default", **fields}


class ProducerProcesses:
    """Producer processes that begin together."""

    def __init__(
        self, plans: Sequence[Sequence[Order]], *, redis_url: str, broker_url: str, rings: int = 1
    ) -> None:
        """Start one process per plan and let all of them begin."""
        self._processes = [
            subprocess.Popen(
                [sys.executable, str(SCRIPT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in plans
        ]
        urls = {"redis_url": redis_url, "broker_url": broker_url, "rings": rings}
        for process, plan in zip(self._processes, plans, strict=True):
            self._tell(process, json.dumps({**urls, "turns": list(plan)}))
        for process in self._processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in self._processes:
            self._tell(process, "go")

    @property
    def running(self) -> bool:
        """Whether one of them still enqueues."""
        return any(process.poll() is None for process in self._processes)

    def results(self) -> list[Enqueued]:
        """Wait for all of them and return what they enqueued."""
        done: list[Enqueued] = []
        for process in self._processes:
            output, _ = process.communicate(timeout=120)
            assert process.returncode == 0, output
            fields = Enqueued.__slots__
            done += [
                Enqueued(**{name: each[name] for name in fields}) for each in json.loads(output)
            ]
        return done

    def end(self) -> None:
        """Make sure that none is left."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def __enter__(self) -> "ProducerProcesses":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @staticmethod
    def _tell(process: "subprocess.Popen[str]", line: str) -> None:
        assert process.stdin is not None
        process.stdin.write(line + "\n")
        process.stdin.flush()


def by_session(enqueued: Iterable[Enqueued]) -> dict[str, list[Enqueued]]:
    """Return what was enqueued, per session."""
    sessions: dict[str, list[Enqueued]] = defaultdict(list)
    for each in enqueued:
        sessions[each.session].append(each)
    return sessions

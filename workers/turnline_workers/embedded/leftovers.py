"""Who is alive, written down, so that the next supervisor can end what a killed one left.

``children.json`` is what recovery rests on.  PR_SET_PDEATHSIG would end the children at once,
but out of order, only on Linux, and when a mere thread of the supervisor ends.
"""

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL, Signals
from typing import Any, Final

from turnline_workers.embedded.atomic import write_atomically
from turnline_workers.embedded.errors import NotInstalledError
from turnline_workers.embedded.process import PATIENCE, Child, Stage, end, kill_group

try:
    import psutil
except ModuleNotFoundError as missing:
    raise NotInstalledError("psutil") from missing

_CLOCK_SLACK: Final = 2.0
"""Seconds by which a create time may differ: it is derived from the clock at boot."""


class Roster:
    """The file that names the living children: name, stage, pid and create time of each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._alive: dict[str, dict[str, Any]] = {}

    def note(self, child: Child) -> None:
        """Write down that ``child`` lives, or that it does no longer."""
        entry = _entry(child)
        with self._lock:
            if entry is None:
                self._alive.pop(child.name, None)
            else:
                self._alive[child.name] = entry
            write_atomically(self._path, json.dumps(list(self._alive.values())))

    def end_leftovers(self, say: Callable[[str], None]) -> None:
        """End the children of an earlier supervisor that was killed, and nobody else."""
        found = _read(self._path)
        for stage in Stage:
            same = [leftover for leftover in found if leftover.stage == stage]
            for leftover in same:
                say(f"ending {leftover.name} (pid {leftover.pid}), left by a killed supervisor")
            end(same, PATIENCE[stage])
        write_atomically(self._path, "[]")


class Leftover:
    """A process of an earlier supervisor, known by its pid and its create time."""

    def __init__(self, name: str, stage: Stage, pid: int, created: float) -> None:
        self.name = name
        self.stage = stage
        self.pid = pid
        self._process: psutil.Process | None = None
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            if abs(process.create_time() - created) < _CLOCK_SLACK:
                self._process = process

    def send(self, signal: Signals) -> None:
        """Send ``signal``; a kill goes to the whole group that the process led."""
        if self._process is None:
            return
        if signal == SIGKILL:
            kill_group(self.pid)
        else:
            with suppress(psutil.NoSuchProcess):
                self._process.send_signal(signal)

    def gone(self) -> bool:
        """Whether it ended.  A zombie did; its new parent may be slow to notice."""
        if self._process is None:
            return True
        try:
            return self._process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True


def _entry(child: Child) -> dict[str, Any] | None:
    if not child.alive or child.pid is None:
        return None
    try:
        created = psutil.Process(child.pid).create_time()
    except psutil.NoSuchProcess:
        return None
    return {"name": child.name, "stage": child.stage.name, "pid": child.pid, "created": created}


def _read(path: Path) -> list[Leftover]:
    try:
        entries = json.loads(path.read_text("utf-8"))
        found = [
            Leftover(str(e["name"]), Stage[e["stage"]], int(e["pid"]), float(e["created"]))
            for e in entries
        ]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError):
        return []  # not ours, or of another version: nothing in it can be trusted
    return [leftover for leftover in found if not leftover.gone()]

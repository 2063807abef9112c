"""Shows what children write to their log files, line by line."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Final

from turnline_workers.embedded.process import Child

OnLine = Callable[[str, str], None]
"""Takes the name of a child and one line it wrote."""

_PAUSE: Final = 0.1


class LogFollower(Thread):
    """A thread that calls ``on_line`` for every line the children write from now on."""

    def __init__(self, children: Sequence[Child], on_line: OnLine) -> None:
        super().__init__(name="turnline-logs", daemon=True)
        self._logs = [_Log(child.name, child.log) for child in children]
        self._on_line = on_line
        self._ended = Event()

    def run(self) -> None:
        """Follow until ``finish``, then read once more what came last."""
        while not self._ended.is_set():
            self._read()
            time.sleep(_PAUSE)
        self._read()

    def finish(self) -> None:
        """Show what is left and end."""
        self._ended.set()
        self.join()

    def _read(self) -> None:
        for log in self._logs:
            for line in log.new_lines():
                self._on_line(log.name, line)


class _Log:
    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self._path = path
        self._position = 0
        self._rest = b""

    def new_lines(self) -> list[str]:
        """Whole lines since the last call."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._position)
                new = file.read()
        except FileNotFoundError:
            return []
        self._position += len(new)
        *lines, self._rest = (self._rest + new).split(b"\n")
        return [line.decode("utf-8", "replace").rstrip() for line in lines if line.strip()]

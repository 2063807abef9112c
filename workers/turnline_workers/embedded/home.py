"""The data directory: one supervisor at a time, its logs, and who is alive in it."""

import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from turnline_schemas.errors import ConfigurationError
from turnline_workers.embedded.errors import DataDirInUseError
from turnline_workers.embedded.leftovers import Roster

Say = Callable[[str], None]
"""Takes one line about what is going on."""


def say_nothing(text: str) -> None:
    """Drop ``text``."""
    del text


class Home:
    """A data directory, held by a lock from ``open`` to ``close``."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.roster = Roster(self.path / "children.json")
        self._lock: IO[str] | None = None

    def open(self, say: Say) -> None:
        """Take the directory, end what a killed supervisor left in it, put old logs aside.

        Raises:
            DataDirInUseError: another supervisor holds it.
            ConfigurationError: it cannot be created or written.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._take_lock()
            (self.path / ".gitignore").write_text("*\n")
            self.roster.end_leftovers(say)
            self._put_logs_aside()
        except OSError as error:
            self.close()
            raise ConfigurationError(
                f"data directory {str(self.path)!r} is not usable ({error.strerror or error});"
                " choose another one with --data-dir"
            ) from error

    def close(self) -> None:
        """Let another supervisor have the directory."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def log(self, name: str) -> Path:
        """The log file of the child ``name``."""
        return self.path / "logs" / f"{name}.log"

    def _take_lock(self) -> None:
        # Python's files are not inherited by children, so a lock ends with its supervisor.
        lock = (self.path / "lock").open("a+", encoding="ascii")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            text = lock.read().strip()
            lock.close()
            raise DataDirInUseError(self.path, int(text) if text.isdecimal() else None) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        self._lock = lock

    def _put_logs_aside(self) -> None:
        logs = self.path / "logs"
        logs.mkdir(exist_ok=True)
        for log in logs.glob("*.log"):
            with suppress(FileNotFoundError):
                log.replace(log.with_suffix(".log.old"))

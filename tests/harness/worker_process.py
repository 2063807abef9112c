"""A Celery worker as production runs it: a process of its own, started from the command line."""

import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psycopg

from harness.waiting import until

INSIDE = Path(__file__).parent / "inside_worker"
"""Modules that tests load into workers."""

_BEATING = "SELECT 1 FROM turnline.workers WHERE pid = %s AND beat_at > now() - interval '5 s'"
_TROUBLE = re.compile(
    r"Traceback|never retrieved|never awaited|was destroyed but|sweep\.failed|task\.raised"
)


class WorkerProcess:
    """One worker.  It is always ended by its process id."""

    def __init__(
        self, name: str, log: Path, *, environment: Mapping[str, str], args: Sequence[str] = ()
    ) -> None:
        """Start it.

        Args:
            environment: all of it.
            args: more arguments for ``celery worker``.
        """
        self.name = name
        self.log = log
        self.seen = 0
        """Bytes of its log that an earlier test has looked at."""
        command = [sys.executable, "-m", "celery", "-A", "turnline_workers.app", "worker"]
        command += ["--hostname", f"{name}@%h", "--without-gossip", "--without-mingle", *args]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs, or is stopped."""
        return self.process.poll() is None

    def said(self) -> str:
        """Return what it has logged, without what an earlier test has seen."""
        return self.log.read_bytes()[self.seen :].decode("utf-8", "replace")

    def forget(self) -> None:
        """Let the next test see only what is logged from now on."""
        self.seen = self.log.stat().st_size

    def says(self, text: str, *, seconds: float = 15.0) -> None:
        """Wait until it has logged ``text``."""
        until(lambda: text in self.said(), seconds=seconds, what=f"{self.name} says {text!r}")

    def troubles(self) -> list[str]:
        """Return log lines that a healthy worker never writes."""
        return [line for line in self.said().splitlines() if _TROUBLE.search(line)]

    def wait_ready(self, database_url: str, *, seconds: float = 30.0) -> None:
        """Return once it beats in Postgres and takes bells."""
        with psycopg.connect(database_url, autocommit=True) as connection:

            def beats() -> bool:
                assert self.alive, f"{self.name} ended with code {self.process.returncode}"
                return connection.execute(_BEATING, (self.pid,)).fetchone() is not None

            until(beats, seconds=seconds, what=f"{self.name} beats")
        self.says(" ready.", seconds=seconds)

    def kill(self) -> None:
        """End it as a crash does."""
        self._signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> None:
        """Freeze it."""
        self._signal(signal.SIGSTOP)

    def cont(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def ask_to_end(self) -> None:
        """Send SIGTERM: it drains, and ends by itself."""
        self._signal(signal.SIGTERM)

    def wait(self, *, seconds: float = 30.0) -> int:
        """Return its exit code once it has ended."""
        return self.process.wait(seconds)

    def end(self) -> str | None:
        """Make sure that it is gone, whatever state it is in; say what was wrong with its end."""
        self.cont()
        self.ask_to_end()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()
            return f"{self.name} did not end within 15 s of SIGTERM"
        return None

    def _signal(self, signum: signal.Signals) -> None:
        if self.alive:
            self.process.send_signal(signum)

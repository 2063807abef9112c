"""One child process: start it, know whether it lives, end it and its whole process group.

A child leads a session of its own, so that the terminal's Ctrl-C reaches only the supervisor,
which then ends the children in order.  It writes to its log file directly and not through the
supervisor: a killed supervisor must not take its children's output with it.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGQUIT, SIGTERM, Signals
from threading import Lock
from typing import Final, Protocol

from turnline_workers.embedded.errors import StartError
from turnline_workers.embedded.unprivileged import Account
from turnline_workers.embedded.waiting import StopRequest

Patience = Sequence[tuple[Signals, float]]
"""Signals to send one after the other, each with the seconds to wait for its effect."""


class Stage(IntEnum):
    """What a child is.  Stages end in this order: nobody loses a server it still uses."""

    FLOWER = 0
    WORKER = 1
    REDIS = 2
    POSTGRES = 3


PATIENCE: Final[Mapping[Stage, Patience]] = {
    Stage.FLOWER: ((SIGTERM, 3.0),),
    Stage.WORKER: ((SIGTERM, 10.0),),
    Stage.REDIS: ((SIGTERM, 10.0),),
    # Fast shutdown, then immediate shutdown, which recovers from the log at the next start.
    # https://www.postgresql.org/docs/current/server-shutdown.html
    Stage.POSTGRES: ((SIGINT, 15.0), (SIGQUIT, 5.0)),
}
"""How each stage is asked to end.  What is left after that is killed."""

_KILL_SECONDS: Final = 10.0
_PAUSE: Final = 0.02


class Ending(Protocol):
    """A process that can be told to end: a child, or a leftover of an earlier supervisor."""

    def send(self, signal: Signals) -> None:
        """Send ``signal``; nothing happens if the process is gone."""

    def gone(self) -> bool:
        """Whether the process has ended."""


def end(
    processes: Sequence[Ending], patience: Patience, *, stop: StopRequest | None = None
) -> None:
    """End ``processes`` together, with more and more force.  An urgent ``stop`` kills at once."""
    found = [process for process in processes if not process.gone()]
    for signal, seconds in (*patience, (SIGKILL, _KILL_SECONDS)):
        running = [process for process in found if not process.gone()]
        for process in running:
            process.send(signal)
        deadline = time.monotonic() + seconds
        while not all(process.gone() for process in running) and time.monotonic() < deadline:
            if signal != SIGKILL and stop is not None and stop.urgent:
                break
            time.sleep(_PAUSE)
    for process in found:
        process.send(SIGKILL)  # what a leader left behind in its group


def kill_group(leader: int) -> None:
    """Kill whatever lives in the process group of ``leader``."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, SIGKILL)


class Child:
    """A program and the process that runs it now, if any.

    Args:
        command: the program and its arguments.
        log: file that its output is appended to.
        environment: all of its environment; None passes on our own.
        account: who runs it; None means ourselves.
        patience: how to ask it to end; by default what its stage needs.
        on_change: called after a start and after an end, to write down who is alive.
    """

    def __init__(
        self,
        name: str,
        stage: Stage,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        account: Account | None = None,
        patience: Patience | None = None,
        on_change: Callable[["Child"], None] = lambda _: None,
    ) -> None:
        self.name = name
        self.stage = stage
        self.command = command
        self.log = log
        self.patience = PATIENCE[stage] if patience is None else patience
        self._environment = environment
        self._directory = directory
        self._account = account
        self._on_change = on_change
        self._process: subprocess.Popen[bytes] | None = None
        self._swept = False
        self._starting = Lock()
        """Supervisor and owner may both want it started."""

    @property
    def pid(self) -> int | None:
        """Process id; None if it was never started or was stopped."""
        return self._process.pid if self._process else None

    @property
    def exit_code(self) -> int | None:
        """How the process ended, negative for a signal; None while it lives."""
        if self._process is None:
            return None
        code = self._process.poll()
        if code is not None and not self._swept:
            self._swept = True  # only now: later the number may be another group's
            kill_group(self._process.pid)
        return code

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self.exit_code is None

    @property
    def how_it_ended(self) -> str:
        """Exit code or signal, in words."""
        code = self.exit_code
        if code is None:
            return "did not end"
        if code >= 0:
            return f"ended with code {code}"
        known = {signal.value: signal.name for signal in Signals}
        return f"was ended by {known.get(-code, -code)}"

    def start(self) -> None:
        """Start the process, unless it runs.

        Raises:
            StartError: the operating system refused.
        """
        with self._starting:
            if not self.alive:
                self._launch()
        self._on_change(self)

    def stop(self, *, stop: StopRequest | None = None) -> None:
        """End the process as its stage asks for, by force in the end."""
        end_children([self], stop=stop)

    def kill(self) -> None:
        """Kill the process group at once, as a crash would."""
        end([self], ())
        self._on_change(self)

    def send(self, signal: Signals) -> None:
        """Send ``signal`` to the process; a kill goes to its whole group."""
        if self._process is None:
            return
        if signal == SIGKILL:
            kill_group(self._process.pid)
        else:
            self._process.send_signal(signal)

    def gone(self) -> bool:
        """Whether there is nothing left to end."""
        return not self.alive

    def forget(self) -> None:
        """Drop the process if it ended, so that ``pid`` is None again."""
        if self.gone():
            self._process = None
        self._on_change(self)

    def tail(self, lines: int = 15) -> str:
        """The last ``lines`` of the log."""
        with suppress(FileNotFoundError):
            return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-lines:])
        return ""

    def _launch(self) -> None:
        account = self._account
        try:
            with self.log.open("ab") as output:
                self._process = subprocess.Popen(  # noqa: S603
                    self.command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=self._environment,
                    cwd=self._directory,
                    start_new_session=True,
                    user=account.uid if account else None,
                    group=account.gid if account else None,
                    extra_groups=() if account else None,
                )
        except (OSError, subprocess.SubprocessError) as error:
            raise StartError(
                self.name,
                f"cannot be run: {getattr(error, 'strerror', None) or error}",
                log=self.log,
            ) from error
        self._swept = False


def end_children(children: Iterable[Child], *, stop: StopRequest | None = None) -> None:
    """End ``children`` stage by stage; those of one stage together."""
    by_stage: dict[Stage, list[Child]] = {}
    for child in children:
        by_stage.setdefault(child.stage, []).append(child)
    for stage in sorted(by_stage):
        same = by_stage[stage]
        end(same, same[0].patience, stop=stop)
        for child in same:
            child.forget()

"""Starts again what ended without being asked to."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Thread
from typing import Final, Protocol

from turnline_schemas.errors import ConfigurationError
from turnline_workers.embedded.errors import StoppedError
from turnline_workers.embedded.home import Say
from turnline_workers.embedded.waiting import StopRequest

_PAUSE: Final = 0.1
_FIRST_DELAY: Final = 0.5
_LONGEST_DELAY: Final = 30.0
_STABLE_SECONDS: Final = 60.0
"""Who lived so long starts over with the shortest delay."""


class Startable(Protocol):
    """Something that runs and can be started again: a child, or a server."""

    @property
    def name(self) -> str:
        """What to call it."""

    @property
    def alive(self) -> bool:
        """Whether it runs."""

    @property
    def how_it_ended(self) -> str:
        """Exit code or signal, in words."""

    def start(self) -> None:
        """Start it again."""


@dataclass(slots=True)
class _Watched:
    what: Startable
    since: float
    """When it was last started."""
    failures: int = 0
    due: float | None = None
    """When it is to be started; None while it lives."""


class Supervisor(Thread):
    """A thread that restarts what dies, after a delay that doubles with every failure.

    Args:
        watched: what to keep alive; earlier ones are restarted first.
        on_restart: called after each restart.
    """

    def __init__(
        self,
        watched: Sequence[Startable],
        *,
        say: Say,
        stop: StopRequest,
        on_restart: Callable[[], None],
    ) -> None:
        super().__init__(name="turnline-supervisor", daemon=True)
        now = time.monotonic()
        self._watched = [_Watched(what, since=now) for what in watched]
        self._say = say
        self._stop_request = stop
        self._on_restart = on_restart

    def run(self) -> None:
        """Watch until asked to stop."""
        while not self._stop_request.asked:
            for watched in self._watched:
                self._look_at(watched)
            time.sleep(_PAUSE)

    def _look_at(self, watched: _Watched) -> None:
        now = time.monotonic()
        if self._stop_request.asked or watched.what.alive:
            return
        if watched.due is None:
            if now - watched.since > _STABLE_SECONDS:
                watched.failures = 0
            self._plan(watched, watched.what.how_it_ended)
        elif now >= watched.due:
            self._start(watched)

    def _plan(self, watched: _Watched, reason: str) -> None:
        delay = min(_LONGEST_DELAY, _FIRST_DELAY * 2**watched.failures)
        watched.failures += 1
        watched.due = time.monotonic() + delay
        self._say(f"{watched.what.name} {reason}; starting it again in {delay:g} s")

    def _start(self, watched: _Watched) -> None:
        try:
            watched.what.start()
        except StoppedError:
            return
        except ConfigurationError as error:
            self._plan(watched, f"did not start ({error})")
            return
        watched.due = None
        watched.since = time.monotonic()
        self._say(f"{watched.what.name} runs again")
        self._on_restart()

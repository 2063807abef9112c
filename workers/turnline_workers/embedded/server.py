"""A server of ours: a child that listens on a port and is ready once it answers there."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

from turnline_workers.embedded.endpoint import Endpoint, remembered_endpoint
from turnline_workers.embedded.errors import NotStartedError, StartError
from turnline_workers.embedded.home import Home, Say, say_nothing
from turnline_workers.embedded.process import Child, Stage
from turnline_workers.embedded.unprivileged import Account
from turnline_workers.embedded.waiting import StopRequest, wait_until

_START_SECONDS: Final = 60.0
"""A start after a crash replays logs first."""
_RETRY_SECONDS: Final = 0.3


class Server(ABC):
    """One server and its data in the directory ``<data-dir>/<name>``.

    ``endpoint`` and ``child`` exist once it was started.
    """

    stage: ClassVar[Stage]
    preferred_port: ClassVar[int] = 0

    def __init__(
        self,
        home: Home,
        name: str,
        *,
        say: Say = say_nothing,
        stop: StopRequest | None = None,
        start_seconds: float = _START_SECONDS,
    ) -> None:
        self.name = name
        self.directory = home.path / name
        self._home = home
        self._say = say
        self._stop_request = stop
        self._start_seconds = start_seconds
        self._child: Child | None = None
        self._endpoint: Endpoint | None = None

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens.  It stays the same from the first start on."""
        if self._endpoint is None:
            raise NotStartedError(self.name)
        return self._endpoint

    @property
    def child(self) -> Child:
        """Its process."""
        if self._child is None:
            raise NotStartedError(self.name)
        return self._child

    @property
    def launched(self) -> bool:
        """Whether it was started, so that there is a child."""
        return self._child is not None

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self.launched and self.child.alive

    @property
    def how_it_ended(self) -> str:
        """Exit code or signal, in words."""
        return self.child.how_it_ended

    def start(self) -> None:
        """Start it and wait until it answers; nothing happens if it runs.

        Raises:
            StartError: it does not come up.
            NotInstalledError: its program is missing.
            StoppedError: somebody asked to stop meanwhile.
        """
        if self.alive and self.answers():
            return
        if self._child is None:
            self._say(f"starting {self.name}")
            self.prepare()
            path = self._home.path / f"{self.name}.json"
            self._endpoint = remembered_endpoint(path, preferred=self.preferred_port)
            self._child = self._new_child()
        deadline = time.monotonic() + self._start_seconds
        # Again and again, because what a killed server held (the port, shared memory) is free
        # only once the last of its own children noticed.
        while not self._came_up(deadline):
            if time.monotonic() >= deadline or self.child.alive:
                raise StartError(
                    self.name,
                    f"does not answer on port {self.endpoint.port}",
                    log=self.child.log,
                    tail=self.child.tail(),
                )
            time.sleep(_RETRY_SECONDS)

    def stop(self) -> None:
        """End it, if it runs."""
        if self._child is not None:
            self._child.stop(stop=self._stop_request)

    def restart(self) -> None:
        """End it and start it again, with the same data and on the same port."""
        self.stop()
        self.start()

    @abstractmethod
    def prepare(self) -> None:
        """Do what is needed before the first start."""

    @abstractmethod
    def command(self) -> Sequence[str]:
        """The program and its arguments; ``endpoint`` is known by now."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it can be used now."""

    def environment(self) -> Mapping[str, str] | None:
        """All of the process's environment; None passes on our own."""
        return None

    def working_directory(self) -> Path | None:
        """Where the process runs; None is where we do."""
        return self.directory

    def account(self) -> Account | None:
        """Who runs it; None is ourselves."""
        return None

    def _new_child(self) -> Child:
        return Child(
            self.name,
            self.stage,
            self.command(),
            log=self._home.log(self.name),
            environment=self.environment(),
            directory=self.working_directory(),
            account=self.account(),
            on_change=self._home.roster.note,
        )

    def _came_up(self, deadline: float) -> bool:
        self.child.start()
        wait_until(
            lambda: not self.child.alive or self.answers(),
            seconds=max(0.0, deadline - time.monotonic()),
            stop=self._stop_request,
        )
        return self.child.alive and self.answers()

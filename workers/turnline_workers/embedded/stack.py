"""Everything on one machine: servers, migrations, workers, Flower, and somebody to watch them."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGTERM
from types import TracebackType
from typing import Final, Self

from turnline_workers.embedded.description import Description, forget_description
from turnline_workers.embedded.endpoint import HOST, remembered_endpoint
from turnline_workers.embedded.errors import StoppedError
from turnline_workers.embedded.external import ExternalServers
from turnline_workers.embedded.follow import LogFollower, OnLine
from turnline_workers.embedded.home import Say, say_nothing
from turnline_workers.embedded.process import Child, Stage, end_children
from turnline_workers.embedded.readiness import database_clock, wait_for_flower, wait_for_workers
from turnline_workers.embedded.servers import EmbeddedServers
from turnline_workers.embedded.supervise import Startable, Supervisor
from turnline_workers.embedded.waiting import StopRequest

_FLOWER_PORT: Final = 5555
"""Where Flower listens by custom; taken if it is free."""
_GRACE_SLACK: Final = 5.0
"""Seconds that a worker gets to end after its own grace time."""


def worker_command(number: int) -> Sequence[str]:
    """How the worker ``number`` (from 1) is started."""
    celery = (sys.executable, "-m", "celery", "-A", "turnline_workers.app", "worker")
    return [*celery, "--hostname", f"turnline-{number}@%h", "--without-gossip", "--without-mingle"]


def flower_command(port: int) -> Sequence[str]:
    """How Flower is started."""
    celery = (sys.executable, "-m", "celery", "-A", "turnline_workers.app", "flower")
    # Flower leaves out the arguments unless told; they name session and turn.
    columns = "--tasks-columns=state,kwargs,runtime,received,worker,name,uuid"
    return [*celery, f"--address={HOST}", f"--port={port}", columns]


def migrate(database_url: str) -> None:
    """Bring the database to the schema of this code."""
    from turnline_workers.store.migrations import upgrade

    upgrade(database_url)


@dataclass(frozen=True, slots=True)
class Programs:
    """What runs on top of the servers."""

    worker: Callable[[int], Sequence[str]] = worker_command
    flower: Callable[[int], Sequence[str]] = flower_command
    migrate: Callable[[str], None] = migrate
    environment: Mapping[str, str] = field(default_factory=dict)
    """Set for workers and Flower on top of our own environment."""
    grace: float = 20.0
    """Seconds that workers take to end at most; the setting ``TURNLINE_GRACE``."""


class Stack:
    """Servers, workers and Flower, started in order, kept alive and ended in reverse order.

    Args:
        workers: how many worker processes.
        external: servers to use instead of our own.
        say: takes lines about progress and restarts.
        on_line: takes every line that workers and Flower write; None leaves them to the logs.
        stop: ends a start that is under way, and the restarts.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        workers: int = 2,
        flower: bool = True,
        external: ExternalServers = ExternalServers(),  # noqa: B008 (frozen)
        programs: Programs = Programs(),
        say: Say = say_nothing,
        on_line: OnLine | None = None,
        stop: StopRequest | None = None,
    ) -> None:
        self.stop_request = stop or StopRequest()
        self.servers = EmbeddedServers(
            data_dir,
            postgres=not external.database_url,
            redis=not external.redis_url,
            say=say,
            stop=self.stop_request,
        )
        self.workers: list[Child] = []
        self.flower: Child | None = None
        self._flower_port = 0
        self._wanted_workers = workers
        self._wants_flower = flower
        self._external = external
        self._programs = programs
        self._say = say
        self._on_line = on_line
        self._supervisor: Supervisor | None = None
        self._follower: LogFollower | None = None

    @property
    def database_url(self) -> str:
        """Postgres, as a libpq URL."""
        return self._external.database_url or self.servers.database_url

    @property
    def redis_url(self) -> str:
        """Redis with inboxes and event logs."""
        return self._external.redis_url or self.servers.redis_url

    @property
    def broker_url(self) -> str:
        """Celery broker."""
        return self._external.broker_url or self.redis_url

    @property
    def children(self) -> tuple[Child, ...]:
        """Workers and Flower, as far as they were started."""
        return (*self.workers, *((self.flower,) if self.flower else ()))

    @property
    def description(self) -> Description:
        """Where everything is, now."""
        return Description(
            database_url=self.database_url,
            redis_url=self.redis_url,
            broker_url=self.broker_url,
            flower_url=f"http://{HOST}:{self._flower_port}" if self.flower else None,
            worker_pids=tuple(worker.pid for worker in self.workers if worker.pid is not None),
            data_dir=str(self.servers.home.path),
        )

    def start(self) -> None:
        """Start everything and wait until it answers.

        Raises:
            ServerUnavailableError: an external server does not answer.
            ConfigurationError: something of ours cannot be started.
            StoppedError: somebody asked to stop meanwhile.
        """
        self._external.check()
        self.servers.start()
        try:
            forget_description(self.servers.home.path)
            self._say("migrating the database")
            self._programs.migrate(self.database_url)
            self._start_children()
            self._supervise()
            self._describe()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End everything, in order.  Asking ``stop_request`` once more meanwhile kills."""
        if not self.stop_request.asked:
            self.stop_request.ask()
        if self._supervisor is not None:
            self._supervisor.join()
        try:
            end_children(self.children, stop=self.stop_request)
            if self._follower is not None:
                self._follower.finish()
            forget_description(self.servers.home.path)
        finally:
            self.servers.stop()

    def _start_children(self) -> None:
        environment = {
            **os.environ,
            **self._programs.environment,
            "TURNLINE_DATABASE_URL": self.database_url,
            "TURNLINE_REDIS_URL": self.redis_url,
            "TURNLINE_BROKER_URL": self.broker_url,
            "PYTHONUNBUFFERED": "1",
        }
        self.workers = [
            self._child(
                f"worker-{number}", Stage.WORKER, self._programs.worker(number), environment
            )
            for number in range(1, self._wanted_workers + 1)
        ]
        if self._wants_flower:
            file = self.servers.home.path / "flower.json"
            self._flower_port = remembered_endpoint(file, preferred=_FLOWER_PORT).port
            command = self._programs.flower(self._flower_port)
            self.flower = self._child("flower", Stage.FLOWER, command, environment)
        if self._on_line is not None:
            self._follower = LogFollower(self.children, self._on_line)
            self._follower.start()
        since = database_clock(self.database_url)
        for child in self.children:
            self._say(f"starting {child.name}")
            if self.stop_request.asked:
                raise StoppedError("asked to stop before everything was ready")
            child.start()
        if self.workers:
            self._say("waiting for the workers' first heartbeats")
            wait_for_workers(self.database_url, self.workers, since=since, stop=self.stop_request)
        if self.flower is not None:
            self._say("waiting for Flower")
            wait_for_flower(self.flower, self._flower_port, stop=self.stop_request)

    def _supervise(self) -> None:
        watched: tuple[Startable, ...] = (*self.servers.running, *self.children)
        self._supervisor = Supervisor(
            watched,
            say=self._say,
            stop=self.stop_request,
            on_restart=self._describe,
        )
        self._supervisor.start()

    def _describe(self) -> None:
        self.description.write()

    def _child(
        self, name: str, stage: Stage, command: Sequence[str], environment: Mapping[str, str]
    ) -> Child:
        patience = ((SIGTERM, self._programs.grace + _GRACE_SLACK),)
        return Child(
            name,
            stage,
            command,
            log=self.servers.home.log(name),
            environment=environment,
            patience=patience if stage is Stage.WORKER else None,
            on_change=self.servers.home.roster.note,
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

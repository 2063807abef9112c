"""One test's own database and Redis, its workers and producers, and a look at what they left."""

import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import redis

from harness.backends import Backends, with_path
from harness.producers import Order, ProducerProcesses
from harness.truth import Truth
from harness.waiting import until
from harness.worker_process import INSIDE, WorkerProcess
from turnline_producer import Producer
from turnline_producer.bells import Bells

_zeros = count()


class World:
    """Everything that one test, or one module, needs."""

    def __init__(self, backends: Backends, directory: Path, *, redis_db: int) -> None:
        self.backends = backends
        self.directory = directory
        self.database = f"turnline_test_{os.getpid()}_{uuid.uuid4().hex[:8]}"
        self.database_url = backends.create_database(self.database)
        self.redis_url = _fresh_redis(backends.redis_url, redis_db, ours=backends.redis)
        self.broker_url = _fresh_redis(backends.broker_url, redis_db, ours=backends.broker)
        self.truth = Truth(self.database_url, self.redis_url)
        self.broker = redis.Redis.from_url(self.broker_url, decode_responses=True)
        self.producer = self.new_producer()
        self._bells = Bells(self.broker_url)
        self.started: list[WorkerProcess] = []
        self.faults: tuple[str, ...] = ()
        """Faults for workers that are started with ``assistants="faults:bystander"``."""
        self.tolerated: list[str] = []
        """Pieces of log lines that are trouble elsewhere and expected in this test."""

    def new_producer(self, **options: Any) -> Producer:
        """Return a producer for this world."""
        return Producer(self.redis_url, broker_url=self.broker_url, **options)

    def enqueue(self, session: str, text: str = "Hello!", **options: Any) -> str:
        """Enqueue one turn and return its id."""
        return self.producer.enqueue(session, text, **options).turn

    def producers(self, plans: Sequence[Sequence[Order]], *, rings: int = 1) -> ProducerProcesses:
        """Start one producer process per plan."""
        return ProducerProcesses(
            plans, redis_url=self.redis_url, broker_url=self.broker_url, rings=rings
        )

    def ring(self, session: str, turn: str = "") -> None:
        """Send one bell."""
        self._bells.ring(session, turn)

    @property
    def environment(self) -> dict[str, str]:
        """All of the environment of a process that belongs to this world."""
        ours = {key: each for key, each in os.environ.items() if not key.startswith("TURNLINE_")}
        return ours | {
            "PYTHONPATH": str(INSIDE),
            "TURNLINE_DATABASE_URL": self.database_url,
            "TURNLINE_REDIS_URL": self.redis_url,
            "TURNLINE_BROKER_URL": self.broker_url,
            "TURNLINE_GRACE": "1",
        }

    def worker(self, *args: str, ready: bool = True, **settings: object) -> WorkerProcess:
        """Start one worker process; settings are those of ``TURNLINE_*``, in lower case."""
        environment = self.environment
        environment |= {"FAULTS": ",".join(self.faults), "FAULTS_DIR": str(self.directory)}
        environment |= {f"TURNLINE_{name.upper()}": str(each) for name, each in settings.items()}
        name = f"worker-{len(self.started) + 1}"
        log = self.directory / f"{name}.log"
        worker = WorkerProcess(name, log, environment=environment, args=args)
        self.started.append(worker)
        if ready:
            worker.wait_ready(self.database_url)
        return worker

    def workers(self, number: int, *args: str, **settings: object) -> list[WorkerProcess]:
        """Start several worker processes at once."""
        started = [self.worker(*args, ready=False, **settings) for _ in range(number)]
        for worker in started:
            worker.wait_ready(self.database_url)
        return started

    def owner(self, session: str) -> WorkerProcess:
        """Return the worker that plays ``session``."""
        pid = int(self.truth.owners()[session].rsplit("-", 2)[1])
        (found,) = [worker for worker in self.started if worker.pid == pid]
        return found

    def check_workers(self) -> None:
        """Fail if a worker wrote into its log what a healthy one never does."""
        for worker in self.started:
            troubles = [
                line
                for line in worker.troubles()
                if not any(piece in line for piece in self.tolerated)
            ]
            assert not troubles, f"{worker.name}: {troubles}\n{worker.said()[-4000:]}"

    def check_rest(self) -> None:
        """Fail if a session still has an owner, or a Redis key would stay for ever."""
        until(lambda: not self.truth.owners(), seconds=5, what="no session has an owner")
        assert not (keys := self.truth.keys_for_ever()), f"keys without TTL: {keys}"

    def show_workers(self) -> None:
        """Print the end of every worker's log, for a test that failed."""
        for worker in self.started:
            print(f"--- {worker.name} (pid {worker.pid}, code {worker.process.returncode})")
            print(worker.said()[-6000:])

    def next_test(self) -> None:
        """Forget what the last test tolerated and what workers have logged so far."""
        self.tolerated = []
        for worker in self.started:
            worker.forget()

    def close(self, *, failed: bool) -> None:
        """End the workers, see what they left behind, and remove it."""
        try:
            self.backends.revive()
            self._end_workers()
            if not failed:
                self._check_leases()
                self.check_workers()
                assert not (keys := self.truth.keys_for_ever()), f"keys without TTL: {keys}"
        except BaseException:
            failed = True
            raise
        finally:
            if failed:
                self.show_workers()
            self.producer.close()
            self._bells.close()
            self.truth.close()
            self.broker.close()
            self.backends.drop_database(self.database)

    def _end_workers(self) -> None:
        for worker in self.started:
            worker.cont()
            worker.ask_to_end()
        problems = [problem for worker in self.started if (problem := worker.end())]
        assert not problems, problems

    def _check_leases(self) -> None:
        """Fail if a worker that ended in order left a session with an owner."""
        crashed = {str(each.pid) for each in self.started if each.process.returncode != 0}
        silent = self.truth.workers()
        owners = self.truth.owners().items()
        left = {
            session: owner
            for session, owner in owners
            if owner.rsplit("-", 2)[1] not in crashed and owner not in silent
        }
        assert not left, f"sessions left with an owner: {left}"


@contextmanager
def a_world(
    backends: Backends, directory: Path, *, redis_db: int, failed: Callable[[], bool]
) -> Iterator[World]:
    """Make a world for as long as the block lasts."""
    world = World(backends, directory, redis_db=redis_db)
    try:
        yield world
    finally:
        world.close(failed=failed())


def _fresh_redis(url: str, number: int, *, ours: object) -> str:
    """Return the URL of an empty Redis; of a server that is not ours, what is there stays."""
    if ours is None:
        return url
    # Zeros in front make every world's URL another one, because producers of one process that
    # have the same broker URL share kombu's pool, and the first to close it closes it for all.
    fresh = with_path(url, "0" * next(_zeros) + str(number))
    with redis.Redis.from_url(fresh) as client:
        client.flushdb()
    return fresh

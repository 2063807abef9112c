"""Finds work without a live path to its end, and rings for it.

A thread in every worker and not a Celery task, so that a full pool cannot starve it.  It needs
no leader: what several workers find at once is harmless twice, and rows remember when they were
last rung.
"""

import random
import re
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Final, Protocol

import redis
import structlog
from redis.exceptions import RedisError
from sqlalchemy import Engine

from turnline_schemas.errors import BrokerUnavailableError, PostgresUnavailableError
from turnline_schemas.ids import ID_PATTERN
from turnline_schemas.names import RUNG_SHARDS, rung_key, rung_shard_key
from turnline_workers.bus.log import Batch, LogLimits, SyncEventLog
from turnline_workers.bus.scripts import DUE
from turnline_workers.runner.ringer import Bell
from turnline_workers.store import liveness, sweeps

BELL_TIME: Final = 2.0
"""Seconds that a bell gets to arrive before it counts as lost."""

BACKLOG: Final = 100
"""Bells under way above which none are lost, only slow: ringing again would make them slower
still."""

OUTBOX_TIME: Final = 3.0
"""Seconds that the worker which committed a turn gets to publish its end."""

BURY_EVERY: Final = 60.0
BURY_AFTER: Final = timedelta(minutes=10)

logger = structlog.get_logger(__name__)


class Players(Protocol):
    """What a sweep asks of, and tells, the runner of its process.  Safe to call from a thread."""

    def fences(self) -> Mapping[str, int]:
        """Session -> fence of what is played here."""
        ...

    def answering(self) -> Collection[str]:
        """Sessions with a bell that is being answered here, played ones among them."""
        ...

    def behind(self) -> int:
        """Bells that have arrived and are not answered yet."""
        ...

    def cancel_soon(self, session: str, reason: str) -> None:
        """End what is played of ``session``."""
        ...

    def room(self) -> int:
        """Free slots."""
        ...


class Sweep:
    """The sweeping thread."""

    def __init__(
        self,
        engine: Engine,
        client: "redis.Redis",
        players: Players,
        *,
        limits: LogLimits,
        worker: str,
        lease: timedelta,
        every: float,
        ring: Callable[[Bell], None],
        waiting_bells: Callable[[], int],
    ) -> None:
        """Do nothing yet.

        Args:
            every: seconds between two sweeps.
            ring: sends a bell soon; never fails.
            waiting_bells: how many stand in the broker's queue.
        """
        self._engine = engine
        self._redis = client
        self._log = SyncEventLog(client, limits)
        self._due = client.register_script(DUE)
        self._players = players
        self._worker = worker
        self._lease = lease
        self._every = every
        self._ring = ring
        self._waiting_bells = waiting_bells
        self._stopping = False
        self._wake = threading.Event()
        self._suspects: dict[str, int] = {}
        self._buried = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="turnline-sweep", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Look now for who waits for a slot, and for who was cancelled."""
        self._wake.set()

    def stop(self) -> None:
        """End the thread."""
        self._stopping = True
        self._wake.set()
        self._thread.join(10)

    def _run(self) -> None:
        urgent = (self._ring_stranded, self._cancel_asked)
        due = time.monotonic()
        while not self._stopping:
            self._wake.wait(max(0.0, due - time.monotonic()))
            self._wake.clear()
            if self._stopping:
                return
            if time.monotonic() < due:
                self._do(urgent)
                continue
            due = time.monotonic() + self._every
            self._do(
                (
                    self._release_due,
                    self._expire_paused,
                    *urgent,
                    self._ring_untaken,
                    self._publish_outbox,
                    self._give_back_forgotten,
                    self._bury,
                )
            )

    def _do(self, parts: Iterable[Callable[[], None]]) -> None:
        """Each part stands alone: one server being away stops only its parts."""
        for part in parts:
            with _tolerant(part.__name__.removeprefix("_")):
                part()

    def _release_due(self) -> None:
        sweeps.release_due(self._engine)

    def _expire_paused(self) -> None:
        sweeps.expire_paused(self._engine)

    def _ring_stranded(self) -> None:
        stranded = sweeps.take_stranded(
            self._engine,
            lease=self._lease,
            bell=timedelta(seconds=BELL_TIME),
            limit=min(self._players.room(), self._budget()),
        )
        for session, turn in stranded:
            self._ring(Bell(session, turn))

    def _ring_untaken(self) -> None:
        budget = self._budget()
        for shard in random.sample(range(RUNG_SHARDS), RUNG_SHARDS):
            if budget <= 0:
                return
            due = self._due(keys=[rung_shard_key(shard)], args=[BELL_TIME, budget])
            budget -= len(due)
            for session in due:
                self._ring_registered(session.decode("utf-8", "replace"), rung_shard_key(shard))

    def _ring_registered(self, session: str, shard: str) -> None:
        """Ring for a session; one that a foreign caller put into another shard moves to its own."""
        if re.fullmatch(ID_PATTERN, session) is None:
            self._redis.zrem(shard, session)
            return
        if shard != rung_key(session):
            self._redis.zadd(rung_key(session), {session: time.time() * 1000}, nx=True)
            self._redis.zrem(shard, session)
        self._ring(Bell(session, ""))

    def _budget(self) -> int:
        """Return how many bells may be sent: none while there are more than get answered."""
        return BACKLOG - self._waiting_bells() - self._players.behind()

    def _publish_outbox(self) -> None:
        older = timedelta(seconds=OUTBOX_TIME)
        for event, last_seq, messages in sweeps.unpublished(self._engine, older_than=older):
            self._log.publish(Batch.terminal(event, floor=last_seq, messages=messages))
            sweeps.forget_published(self._engine, event)

    def _cancel_asked(self) -> None:
        playing = self._players.fences()
        if playing:
            asked = sweeps.cancelled_among(self._engine, playing, self._worker)
            for session, reason in asked.items():
                self._players.cancel_soon(session, reason)

    def _give_back_forgotten(self) -> None:
        """Free sessions that Postgres says are ours and that we do not play.

        A claim whose commit went through while its answer was lost is known to nobody, and our
        heartbeat would keep it for ever.  One whose bell is still being answered is none of
        them, however long a busy loop takes.  Twice seen with the same fence, because a bell's
        end may come between our two looks.
        """
        owned = sweeps.owned_by(self._engine, self._worker)
        answering = self._players.answering()
        suspects = {session: fence for session, fence in owned.items() if session not in answering}
        for session, fence in suspects.items():
            if self._suspects.get(session) == fence:
                logger.warning("claim.forgotten", session=session, fence=fence)
                sweeps.give_back_owned(self._engine, self._worker, session, fence)
        self._suspects = suspects

    def _bury(self) -> None:
        if time.monotonic() - self._buried >= BURY_EVERY:
            self._buried = time.monotonic()
            liveness.bury(self._engine, BURY_AFTER)


@contextmanager
def _tolerant(part: str) -> Iterator[None]:
    """A sweep comes again; a server that is away must not end the thread."""
    try:
        yield
    except (PostgresUnavailableError, BrokerUnavailableError, RedisError) as error:
        logger.warning("sweep.interrupted", part=part, error=str(error))
    except Exception:
        logger.exception("sweep.failed", part=part)

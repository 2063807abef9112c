"""Puts a worker together, starts it and stops it.  The only module that knows every part."""

import asyncio
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Collection, Coroutine, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

import structlog

from turnline_producer.bells import Bells
from turnline_producer.command import Limits
from turnline_producer.producer import Producer
from turnline_schemas.errors import PostgresUnavailableError, RedisUnavailableError
from turnline_workers.bus.connect import check_policy, open_async, open_sync
from turnline_workers.bus.inbox import DeadLetter, Inbox
from turnline_workers.bus.log import EventLog, LogLimits
from turnline_workers.bus.nudges import Nudges
from turnline_workers.flow import Claim
from turnline_workers.models.registry import Assistants, load_assistants
from turnline_workers.runner.backoff import pauses
from turnline_workers.runner.heartbeat import Heartbeat
from turnline_workers.runner.intake import Intake
from turnline_workers.runner.outbox import Outbox
from turnline_workers.runner.player import Player
from turnline_workers.runner.ringer import Bell, Ringer
from turnline_workers.runner.runner import Runner
from turnline_workers.runner.slots import Slots
from turnline_workers.runner.sweep import Sweep
from turnline_workers.settings import Settings
from turnline_workers.store import migrations
from turnline_workers.store.engine import open_async_engine, open_engine, translated
from turnline_workers.store.liveness import WorkerIdentity

LOOP_CONNECTIONS = 2
THREAD_CONNECTIONS = 2
"""Postgres connections of one worker process: a constant, whatever is in flight."""

REDIS_CONNECTIONS = 16

SETTLE_TIME = 5.0
"""Seconds beyond the grace time in which a decided outcome may still be committed."""

T = TypeVar("T")

logger = structlog.get_logger(__name__)


class Worker:
    """One worker process: an event loop that plays, and threads that keep it honest."""

    def __init__(self, settings: Settings) -> None:
        """Load the assistants; touch no server yet.

        Raises:
            ConfigurationError: an assistant cannot be loaded.
        """
        self.settings = settings
        self._assistants = load_assistants(
            settings.assistants, builtin_delay=settings.builtin_delay
        )
        self.identity = WorkerIdentity(
            worker=f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}",
            hostname=socket.gethostname(),
            pid=os.getpid(),
            slots=settings.slots,
        )
        self._stopping = False
        self.loop = asyncio.new_event_loop()
        self._loop_thread = threading.Thread(
            target=self._run_loop, name="turnline-loop", daemon=True
        )
        self._engine = open_engine(settings.database_url, connections=THREAD_CONNECTIONS)
        self._async_engine = open_async_engine(settings.database_url, connections=LOOP_CONNECTIONS)
        self._sync_redis = open_sync(settings.redis_url)
        self._redis = open_async(settings.redis_url, connections=REDIS_CONNECTIONS)
        bells = Bells(settings.broker)
        self._ringer = Ringer(bells)
        self._slots = Slots(settings.slots)
        limits = LogLimits(settings.log_length, settings.log_ttl)
        self._sweep = Sweep(
            self._engine,
            self._sync_redis,
            self,
            limits=limits,
            worker=self.identity.worker,
            lease=settings.lease_time,
            every=settings.sweep,
            ring=self._ringer.ring,
            waiting_bells=bells.waiting,
        )
        self._inbox = Inbox(self._redis, limits, max_bytes=settings.max_message_bytes)
        self._heartbeat = Heartbeat(self._engine, self.identity, lease=settings.lease)
        self._nudges = Nudges(self._redis, self._nudged)
        self._outbox = Outbox(self._async_engine)
        self.runner = self._make_runner(limits, self._assistants)
        self.producer = Producer(
            settings.redis_url,
            broker_url=settings.broker,
            limits=Limits(max_bytes=settings.max_message_bytes),
        )

    def _make_runner(self, limits: LogLimits, assistants: Assistants) -> Runner:
        log = EventLog(self._redis, limits)
        intake = Intake(
            self._async_engine,
            self._inbox,
            log,
            self._outbox,
            self._nudges,
            worker=self.identity.worker,
            lease=self.settings.lease_time,
            now_ms=now_ms,
        )
        player = Player(
            self._async_engine,
            log,
            self._outbox,
            assistants,
            max_attempts=self.settings.max_attempts,
            clock=time.monotonic,
        )
        return Runner(
            self._async_engine,
            intake,
            log,
            self._outbox,
            player,
            slots=self._slots,
            ring=self._ringer.ring,
            call_fairest=self._sweep.wake,
            now_ms=now_ms,
        )

    def start(self) -> None:
        """Wait for the servers, then start every part.

        Raises:
            SchemaVersionError: the database needs ``turnline migrate``.
            UnsafeRedisError: Redis may throw turns away.
        """
        self._wait_for(self._check_servers)
        self._wait_for(self._heartbeat.start)
        self._loop_thread.start()
        self.call(self._start_on_loop())
        self._ringer.start()
        self._sweep.start()
        logger.info("worker.ready", worker=self.identity.worker, slots=self.settings.slots)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run ``coroutine`` on the loop, from any thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run ``coroutine`` on the loop and wait for it."""
        return self.run(coroutine).result()

    async def answer(self, bell: Bell, on_claim: Callable[[Claim], None]) -> None:
        """Answer one bell, on the loop."""
        await self.runner.answer(bell, on_claim=on_claim)

    def bury(self, session: str, letter: DeadLetter) -> None:
        """Put a message that cannot be accepted where an operator finds it, from any thread."""
        self.call(self._inbox.bury(session, [letter]))

    def drain(self) -> None:
        """Claim nothing new; give up what has not ended within the grace time.

        Returns at once, and may be called from a signal handler.
        """
        self.loop.call_soon_threadsafe(self._begin_drain)

    def stop(self) -> None:
        """Stop every part.  What is still played is given back first."""
        if not self._loop_thread.is_alive():
            return
        self._stopping = True
        self._sweep.stop()
        self.call(self._stop_on_loop())
        self._ringer.stop(wait=5)
        self._heartbeat.stop()
        self.producer.close()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._loop_thread.join(5)
        self._sync_redis.close()
        self._engine.dispose()
        logger.info("worker.stopped", worker=self.identity.worker)

    # What the sweep asks (Players).

    def fences(self) -> Mapping[str, int]:
        """Session -> fence of what is played here."""
        return {session: each.claim.fence for session, each in list(self.runner.playing.items())}

    def answering(self) -> Collection[str]:
        """Sessions with a bell that is being answered here."""
        return list(self.runner.answering)

    def behind(self) -> int:
        """Bells that wait for their intake."""
        return len(self.runner.answering) - len(self.runner.playing)

    def cancel_soon(self, session: str, reason: str) -> None:
        """End what is played of ``session``."""
        playing = self.runner.playing.get(session)
        if playing is not None:
            turn = playing.claim.turn.turn
            self.loop.call_soon_threadsafe(self.runner.cancel, session, turn, reason)

    def room(self) -> int:
        """Free slots."""
        return 0 if self.runner.draining else self._slots.free

    # Inside.

    def _nudged(self, session: str, turn: str) -> None:
        if session in self.runner.playing and self.runner.playing[session].claim.turn.turn == turn:
            self._sweep.wake()

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            if not self._stopping:
                # Without its loop the worker plays nothing, and its heartbeat would hide that.
                logger.critical("worker.loop_died")
                os._exit(70)
        self.loop.close()

    async def _start_on_loop(self) -> None:
        self._outbox.start()
        self._nudges.start()

    async def _stop_on_loop(self) -> None:
        self.runner.draining = True
        self.runner.hand_over(settling=True)
        for pause in pauses(0.01, 0.1):
            if not self.runner.playing:
                break
            await asyncio.sleep(pause)
        await self._nudges.stop()
        await self._outbox.stop()
        await self._redis.aclose()
        await self._async_engine.dispose()

    def _begin_drain(self) -> None:
        if not self.runner.draining:
            self.runner.draining = True
            logger.info("worker.draining", playing=len(self.runner.playing))
            self.loop.call_later(self.settings.grace, self.runner.hand_over)
            # Postgres may be away just now; it must not keep a worker from ending.
            late = self.settings.grace + SETTLE_TIME
            self.loop.call_later(late, lambda: self.runner.hand_over(settling=True))

    def _check_servers(self) -> None:
        check_policy(self._sync_redis, self.settings.redis_url)
        with translated(self.settings.database_url), self._engine.connect() as connection:
            migrations.check(connection)

    def _wait_for(self, step: Callable[[], None]) -> None:
        for pause in pauses(0.5, 5.0):
            try:
                step()
            except (PostgresUnavailableError, RedisUnavailableError) as error:
                logger.warning("worker.waiting", error=str(error))
                time.sleep(pause)
                continue
            return


def now_ms() -> int:
    """Return the worker's clock in ms since 1970."""
    return time.time_ns() // 1_000_000

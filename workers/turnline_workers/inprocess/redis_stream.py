"""Events into the session's log in Redis, where ``turnline_consumer.follow`` finds them."""

import math
import time
from collections.abc import Sequence
from itertools import groupby
from typing import Final

import redis
import redis.asyncio as aioredis

from turnline_schemas.event import Event
from turnline_schemas.names import meta_key
from turnline_workers.bus.log import EventLog, LogLimits, SyncEventLog
from turnline_workers.errors import StreamError, StreamFencedError
from turnline_workers.inprocess.redis_access import UsesRedis
from turnline_workers.inprocess.unsent import Entry, Unsent

WORKERS: Final = 1
"""The lowest fence of a worker's claim: a worker that plays the session is never disturbed."""

REMEMBERED: Final = 10_000
"""Sessions whose newest attempt is remembered."""

CLOCK: Final = 2**53
"""Microseconds since 1970 are below it until 2255, so that a time over it is a fence below 1."""


class RedisStream(UsesRedis):
    """Publishes the events of sessions that are played in process.

    What fails because Redis is away is published before what comes next, so that a log has no
    hole.  If too much waits, the log of that attempt ends where it is.

    The log numbers events itself: as the session does, unless a process died within a turn or
    Redis was away for long; then the log's numbers count for readers.  Each attempt takes a new
    fence, so that of two processes the one that began last goes on and the other is told.  A
    session is played in process or by workers, not both: workers' fences are higher.
    """

    def __init__(
        self,
        client_or_url: "str | redis.Redis | aioredis.Redis",
        *,
        length: int = 10_000,
        ttl: int = 3_600,
        unsent: int = 1_000,
    ) -> None:
        """Connect to nothing yet.

        Args:
            client_or_url: a client stays yours to close; one of asyncio serves one event loop.
            length: about how many events a log keeps.
            ttl: seconds after the last event that a log is kept.
            unsent: how many events of a session are kept while Redis is away.

        Raises:
            ConfigurationError: the URL cannot be read, or the client decodes what it reads.
        """
        super().__init__(client_or_url)
        limits, client = LogLimits(length, ttl), self._access.client
        self._log: EventLog | SyncEventLog = (
            EventLog(client, limits) if self._access.in_loop else SyncEventLog(client, limits)
        )
        self._limit = unsent
        self._sessions: dict[str, Unsent] = {}

    async def emit(self, event: Event) -> None:
        """Publish one event; otherwise as ``emit_many``."""
        await self.emit_many((event,))

    async def emit_many(self, events: Sequence[Event]) -> None:
        """Publish several events, those of one attempt together.

        Raises:
            StreamFencedError: a worker, or a newer attempt, publishes the session's events.
            RedisUnavailableError: it is unknown whether they are published.  They are published
                with what comes next; the same call again publishes nothing twice.
            StreamError: Redis was away for too long, and the attempt's log ends there.
        """
        for session, group in groupby(events, key=lambda each: each.session):
            unsent = self._unsent(session)
            taken = [
                unsent.add(tuple(together))
                for _, together in groupby(group, key=lambda each: (each.turn, each.attempt))
            ]
            await self._publish(session, unsent)
            if not all(taken):
                raise StreamError(
                    f"over {self._limit} events of session {session!r} waited for Redis; its log"
                    " goes on with the next attempt or turn"
                )

    def _unsent(self, session: str) -> Unsent:
        """Return what waits of the session, which is the one used last from now on."""
        unsent = self._sessions.pop(session, None) or Unsent(self._limit)
        self._sessions[session] = unsent
        if len(self._sessions) > REMEMBERED:
            idle = (name for name, each in self._sessions.items() if not each.entries)
            self._sessions.pop(next(idle, session))
        return unsent

    async def _publish(self, session: str, unsent: Unsent) -> None:
        """Publish all that waits, oldest first."""
        fenced = False
        while unsent.entries:
            entry = unsent.entries[0]
            if await self._published(session, entry):
                unsent.sent(entry)
            else:
                unsent.drop(entry.place)
                fenced = True
        if fenced:
            raise StreamFencedError(session)

    async def _published(self, session: str, entry: Entry) -> bool:
        """Publish a batch; say whether its attempt may still publish."""
        place = entry.place
        if place.fence is None:
            client = self._access.client
            newest = float(await self._access.call(client.hget, meta_key(session), "fence") or 0)
            if newest >= WORKERS:
                return False
            place.fence = _above(newest)
        published = await self._access.call(self._log.publish, entry.batch(place.fence))
        return published.status != "fenced"


def _above(fence: float) -> float:
    """Return a fence above the newest one, also where clocks differ."""
    now = time.time_ns() // 1_000 / CLOCK
    return now if now > fence else math.nextafter(fence, math.inf)

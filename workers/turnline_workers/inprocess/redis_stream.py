"""Events into the session's log in Redis, where ``turnline_consumer.follow`` finds them."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import redis
import redis.asyncio as aioredis

from turnline_schemas.event import Event
from turnline_schemas.names import meta_key
from turnline_workers.bus.log import Batch, EventLog, LogLimits, SyncEventLog
from turnline_workers.errors import StreamFencedError
from turnline_workers.inprocess.redis_access import UsesRedis

WORKERS: Final = 1
"""The lowest fence of a worker's claim: a worker that plays the session is never disturbed."""

REMEMBERED: Final = 10_000
"""Sessions whose newest attempt is remembered."""

CLOCK: Final = 2**53
"""Microseconds since 1970 are below it until 2255, so that a time over it is a fence below 1."""


@dataclass(slots=True)
class _Place:
    """One attempt's right to publish, and how far it got."""

    turn: str | None
    attempt: int
    fence: float
    number: int = 0
    newest: tuple[Event, ...] = ()
    """What the newest batch held."""

    def goes_on_with(self, events: tuple[Event, ...]) -> bool:
        """Whether ``events`` belong to this attempt, and do not begin it anew."""
        first = events[0]
        same = (first.turn, first.attempt) == (self.turn, self.attempt)
        return same and (first.type != "turn.started" or events == self.newest)

    def batch(self, events: tuple[Event, ...]) -> Batch:
        """Return ``events`` as a batch; the newest one again has the number that it had."""
        if events != self.newest:
            self.number += 1
            self.newest = events
        first = events[0]
        return Batch(
            first.session,
            tuple(_fragment(event) for event in events),
            fence=self.fence,
            number=self.number,
            floor=first.seq - 1,
        )


class RedisStream(UsesRedis):
    """Publishes the events of sessions that are played in process.

    The log numbers events itself: as the session does, unless a process died within a turn or
    Redis was away meanwhile; then the log's numbers count for readers.  Each attempt takes a new
    fence, so that of two processes the one that began last goes on and the other is told.  A
    session is played in process or by workers, not both: workers' fences are higher.
    """

    def __init__(
        self,
        client_or_url: "str | redis.Redis | aioredis.Redis",
        *,
        length: int = 10_000,
        ttl: int = 3_600,
    ) -> None:
        """Connect to nothing yet.

        Args:
            client_or_url: a client stays yours to close; one of asyncio serves one event loop.
            length: about how many events a log keeps.
            ttl: seconds after the last event that a log is kept.

        Raises:
            ConfigurationError: the URL cannot be read, or the client decodes what it reads.
        """
        super().__init__(client_or_url)
        limits, client = LogLimits(length, ttl), self._access.client
        self._log: EventLog | SyncEventLog = (
            EventLog(client, limits) if self._access.in_loop else SyncEventLog(client, limits)
        )
        self._places: dict[str, _Place] = {}

    async def emit(self, event: Event) -> None:
        """Publish one event; otherwise as ``emit_many``."""
        await self.emit_many((event,))

    async def emit_many(self, events: Sequence[Event]) -> None:
        """Publish several events, those of one attempt together.

        Raises:
            StreamFencedError: a worker, or a newer attempt, publishes the session's events.
            RedisUnavailableError: it is unknown whether they are published.  The same call again
                publishes nothing twice.
        """
        for _, group in groupby(events, key=lambda each: (each.session, each.turn, each.attempt)):
            together = tuple(group)
            place = await self._place(together)
            published = await self._access.call(self._log.publish, place.batch(together))
            if published.status == "fenced":
                raise StreamFencedError(together[0].session)

    async def _place(self, events: tuple[Event, ...]) -> _Place:
        """Return the place of the attempt that ``events`` belong to."""
        first = events[0]
        known = self._places.pop(first.session, None)
        if known is None or not known.goes_on_with(events):
            fence = await self._access.call(
                self._access.client.hget, meta_key(first.session), "fence"
            )
            known = _Place(first.turn, first.attempt, _above(float(fence or 0)))
        if known.fence >= WORKERS:
            raise StreamFencedError(first.session)
        self._places[first.session] = known
        if len(self._places) > REMEMBERED:
            del self._places[next(iter(self._places))]
        return known


def _above(fence: float) -> float:
    """Return a fence above the newest one, also where clocks differ."""
    now = time.time_ns() // 1_000 / CLOCK
    return now if now > fence else math.nextafter(fence, math.inf)


def _fragment(event: Event) -> str:
    """Return its JSON without version and number, which the log puts in front."""
    return event.to_json().removeprefix(f'{{"v":{event.v},"seq":{event.seq},')

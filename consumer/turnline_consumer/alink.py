"""I/O with Redis for one asynchronous follower: ``turnline_consumer.link`` on asyncio."""

import asyncio
import contextlib
from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import parse_url
from redis.exceptions import RedisError

from turnline_consumer.link import META_FIELDS, PAGE_SIZE, heard, not_open, options, page_of
from turnline_consumer.page import Page
from turnline_schemas.names import events_channel, log_key, meta_key

SHORTEST_WAIT = 0.001
"""Seconds asyncio needs to see what already lies in the socket."""


class AsyncLink:
    """Asynchronous I/O for one follower of one session, in one task at a time."""

    def __init__(self, url: str, session: str) -> None:
        self._url = url
        self._session = session
        self._pool: Any = None
        self._subscription: Any = None
        self._waiting: asyncio.Timeout | None = None

    async def open(self) -> None:
        """Connect, subscribe, and wait for the confirmation."""
        await self.drop()
        self._pool = ConnectionPool(**options(parse_url(self._url)))
        connection = await self._pool.get_connection()
        await connection.send_command("SUBSCRIBE", events_channel(self._session))
        await connection.read_response()
        self._subscription = connection

    async def drop(self) -> None:
        """Close what is open."""
        pool, self._pool, self._subscription = self._pool, None, None
        if pool is not None:
            with contextlib.suppress(RedisError, OSError):
                await pool.disconnect()

    async def read(self, after: int) -> Page:
        """Read the meta, and the log after seq ``after``, as of one moment."""
        if self._pool is None:
            raise not_open()
        async with Redis(connection_pool=self._pool).pipeline(transaction=True) as pipe:
            pipe.hmget(meta_key(self._session), *META_FIELDS)
            pipe.xrange(log_key(self._session), min=f"({after}-0", count=PAGE_SIZE)
            meta, rows = await pipe.execute()
        return page_of(after, meta, rows)

    async def ping(self) -> None:
        """Ask the subscription for a sign of life."""
        await self._subscribed().send_command("PING", check_health=False)

    async def receive(self, timeout: float) -> bytes | None:  # noqa: ASYNC109
        """Return the next frame, ``LIFE``, or None if none came in time or ``wake`` was called."""
        connection = self._subscribed()
        try:
            async with asyncio.timeout(None) as self._waiting:
                reply = await connection.read_response(
                    timeout=max(timeout, SHORTEST_WAIT), disconnect_on_error=False
                )
        except TimeoutError:
            return None
        finally:
            self._waiting = None
        return None if reply is None else heard(reply)

    def wake(self) -> None:
        """End the ``receive`` that is waiting, if any.  For the event loop's thread only."""
        if self._waiting is not None:
            self._waiting.reschedule(0)

    def _subscribed(self) -> Any:
        if self._subscription is None:
            raise not_open()
        return self._subscription

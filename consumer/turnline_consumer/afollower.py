"""Follows a session from asyncio: the I/O that ``turnline_consumer.course`` asks for."""

import asyncio
import contextlib
import inspect
from time import monotonic
from types import TracebackType
from typing import Self, assert_never

from redis.exceptions import RedisError

from turnline_consumer.alink import AsyncLink
from turnline_consumer.course import Action, Course, Fetch, Listen, Open, Pause, Ping, ReadLog
from turnline_consumer.follower import wait
from turnline_consumer.link import TRANSIENT
from turnline_consumer.plan import DEFAULT_URL, Plan
from turnline_consumer.sources import AsyncSnapshotSource
from turnline_schemas.errors import RedisUnavailableError
from turnline_schemas.event import Event


def afollow(
    session: str,
    *,
    after: str | None = None,
    redis_url: str = DEFAULT_URL,
    snapshot: AsyncSnapshotSource | None = None,
    check_every: float = 2.0,
    give_up_after: float | None = None,
) -> "AsyncFollower":
    """Return an asynchronous iterator over the session's events; otherwise as ``follow``.

    ::

        async with afollow("ses_42", after=cursor) as events:
            async for event in events:
                await show(event)

    Cancelling a task that waits for an event loses nothing: the next call goes on.
    """
    plan = Plan(session, after, redis_url, snapshot is not None, check_every, give_up_after)
    return AsyncFollower(plan, snapshot)


class AsyncFollower:
    """A session's events, as they come.  For one task at a time, except ``close``."""

    def __init__(self, plan: Plan, source: AsyncSnapshotSource | None) -> None:
        self._session = plan.session
        self._url = plan.redis_url
        self._course: Course = plan.course()
        self._source = source
        self._link = AsyncLink(plan.redis_url, plan.session)
        self._closing = asyncio.Event()

    @property
    def cursor(self) -> str | None:
        """As ``Follower.cursor``."""
        return self._course.cursor

    def close(self) -> None:
        """End the iteration at once, from any task of the same event loop."""
        self._closing.set()
        self._link.wake()

    async def next(self, timeout: float) -> Event | None:  # noqa: ASYNC109
        """Return the next event; None if none came within ``timeout`` seconds, or after ``close``.

        Takes longer, and raises, as ``Follower.next``.
        """
        return await self._advance(monotonic() + timeout)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """Wait for the next event.  Raises what ``next`` raises; ends after ``close``."""
        event = await self._advance(None)
        if event is None:
            raise StopAsyncIteration
        return event

    async def __aenter__(self) -> Self:
        """Connect, and find the place in the log.

        Raises:
            RedisUnavailableError: Redis cannot be used.
        """
        while not self._course.started:
            await self._do(self._course.next(monotonic()), None)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
        await self._link.drop()

    async def _advance(self, deadline: float | None) -> Event | None:
        waited = False
        while not self._closing.is_set():
            event = self._course.take()
            if event is not None:
                return event
            now = monotonic()
            if waited and deadline is not None and now >= deadline:
                return None
            action = self._course.next(now)
            waited = isinstance(action, Listen | Pause)
            await self._do(action, deadline)
        await self._link.drop()
        return None

    async def _do(self, action: Action, deadline: float | None) -> None:
        if isinstance(action, Fetch):
            assert self._source is not None  # without a source nobody says Fetch
            answer = self._source(self._session)
            self._course.snapshot(await answer if inspect.isawaitable(answer) else answer)
            return
        try:
            await self._exchange(action, deadline)
        except TRANSIENT as error:
            await self._link.drop()
            self._course.lost(error, monotonic())
        except RedisError as error:
            await self._link.drop()
            raise RedisUnavailableError(self._url, error, answers=True) from error
        except BaseException:
            await self._link.drop()  # half an answer may be on its way; the next call reconnects
            raise

    async def _exchange(
        self, action: Open | ReadLog | Ping | Listen | Pause, deadline: float | None
    ) -> None:
        match action:
            case Open():
                await self._link.open()
                self._course.opened()
            case ReadLog(after):
                self._course.page(await self._link.read(after), monotonic())
            case Ping():
                await self._link.ping()
                self._course.pinged(monotonic())
            case Listen(until):
                message = await self._link.receive(wait(until, deadline))
                self._course.heard(message, monotonic())
            case Pause(until):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait(until, deadline)):
                        await self._closing.wait()
            case _:
                assert_never(action)

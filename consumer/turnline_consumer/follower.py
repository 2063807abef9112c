"""Follows a session from blocking code: the I/O that ``turnline_consumer.course`` asks for."""

import threading
from time import monotonic
from types import TracebackType
from typing import Final, Self, assert_never

from redis.exceptions import RedisError

from turnline_consumer.course import Action, Course, Fetch, Listen, Open, Pause, Ping, ReadLog
from turnline_consumer.link import TRANSIENT, Link
from turnline_consumer.plan import DEFAULT_URL, Plan
from turnline_consumer.sources import SnapshotSource
from turnline_schemas.errors import RedisUnavailableError
from turnline_schemas.event import Event

SLICE: Final = 0.25
"""Longest single wait, in seconds: after it a ``close`` from another thread is seen."""


def follow(
    session: str,
    *,
    after: str | None = None,
    redis_url: str = DEFAULT_URL,
    snapshot: SnapshotSource | None = None,
    check_every: float = 2.0,
    give_up_after: float | None = None,
) -> "Follower":
    """Return an iterator over the session's events: every one after ``after``, once, in order.

    ::

        with follow("ses_42", after=cursor) as events:
            for event in events:
                show(event)
                cursor = events.cursor

    Where that cannot be, because the log was trimmed or lost, a ``session.reset`` event says
    so and from where it goes on: erase what you showed, and show its snapshot if it has one.
    Ignore events of types you do not know.
    No I/O happens before the ``with``, or the first event asked for.

    Args:
        session: the session's id.  It need not exist yet.
        after: the cursor of the last event you have; None for the oldest event kept;
            ``"latest"`` for only what comes from now on.
        redis_url: the Redis that the workers publish to.
        snapshot: asked for the session as a whole when ``after`` cannot be continued; without
            one, reading goes on with what the log still has.
        check_every: how long a message that Redis lost may be overdue, in seconds.
        give_up_after: seconds without Redis after which ``RedisUnavailableError`` is raised;
            None to try for ever.  The first connection is always tried only once.

    Raises:
        InvalidMessageError: ``session`` is no session id.
        InvalidCursorError: ``after`` is no cursor.
        InvalidInputError: a time is not positive.
        ConfigurationError: ``redis_url`` is no Redis URL.
    """
    plan = Plan(session, after, redis_url, snapshot is not None, check_every, give_up_after)
    return Follower(plan, snapshot)


class Follower:
    """A session's events, as they come.  For one thread, except ``close``."""

    def __init__(self, plan: Plan, source: SnapshotSource | None) -> None:
        self._session = plan.session
        self._url = plan.redis_url
        self._course: Course = plan.course()
        self._source = source
        self._link = Link(plan.redis_url, plan.session)
        self._closing = threading.Event()

    @property
    def cursor(self) -> str | None:
        """Cursor of the last event delivered, to go on from later; None if not known yet.

        Store it once you are done with that event.
        """
        return self._course.cursor

    def close(self) -> None:
        """End the iteration, from any thread.  A wait ends within a quarter of a second."""
        self._closing.set()

    def next(self, timeout: float) -> Event | None:
        """Return the next event; None if none came within ``timeout`` seconds, or after ``close``.

        It may take longer by what Redis or the snapshot source take to answer.

        Raises:
            RedisUnavailableError: the first connection failed, Redis refused a command, or was
                away for ``give_up_after``.  Calling again tries again.
            UnreadableEventError: the next event cannot be read.
            StaleSnapshotError: snapshots are behind the log, several times in a row.
        """
        return self._advance(monotonic() + timeout)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        """Wait for the next event.  Raises what ``next`` raises; ends after ``close``."""
        event = self._advance(None)
        if event is None:
            raise StopIteration
        return event

    def __enter__(self) -> Self:
        """Connect, and find the place in the log.

        Raises:
            RedisUnavailableError: Redis cannot be used.
        """
        while not self._course.started:
            self._do(self._course.next(monotonic()), None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
        self._link.drop()

    def _advance(self, deadline: float | None) -> Event | None:
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
            self._do(action, deadline)
        self._link.drop()
        return None

    def _do(self, action: Action, deadline: float | None) -> None:
        if isinstance(action, Fetch):
            assert self._source is not None  # without a source nobody says Fetch
            self._course.snapshot(self._source(self._session))
            return
        try:
            self._exchange(action, deadline)
        except TRANSIENT as error:
            self._link.drop()
            self._course.lost(error, monotonic())
        except RedisError as error:
            self._link.drop()
            raise RedisUnavailableError(self._url, error, answers=True) from error
        except BaseException:
            self._link.drop()  # half an answer may be on its way; the next call reconnects
            raise

    def _exchange(
        self, action: Open | ReadLog | Ping | Listen | Pause, deadline: float | None
    ) -> None:
        match action:
            case Open():
                self._link.open()
                self._course.opened()
            case ReadLog(after):
                self._course.page(self._link.read(after), monotonic())
            case Ping():
                self._link.ping()
                self._course.pinged(monotonic())
            case Listen(until):
                message = self._link.receive(min(SLICE, wait(until, deadline)))
                self._course.heard(message, monotonic())
            case Pause(until):
                self._closing.wait(wait(until, deadline))
            case _:
                assert_never(action)


def wait(until: float, deadline: float | None) -> float:
    """Return the seconds from now to the earlier of two times, or 0 if it has passed."""
    return max(0.0, min(until, until if deadline is None else deadline) - monotonic())

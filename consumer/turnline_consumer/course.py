"""What to do and when: connections, checks, retries and giving up.  No I/O; time is an argument.

A follower asks ``next(now)`` for an action, does it, and reports what came of it:

============  ====================================  ==========================
action        to do                                 report
============  ====================================  ==========================
``Open``      connect, subscribe, wait for the      ``opened``
              confirmation
``ReadLog``   read meta and log as of one moment    ``page``
``Ping``      send a ping on the subscription       ``pinged``
``Listen``    wait for a message until a time       ``heard``
``Fetch``     ask the snapshot source               ``snapshot``
``Pause``     wait until a time                     nothing
============  ====================================  ==========================

Whatever fails in Redis is reported with ``lost``.  All times are seconds of one monotonic clock.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from turnline_consumer.page import Page
from turnline_consumer.reader import Need, Reader
from turnline_schemas.errors import RedisUnavailableError
from turnline_schemas.event import Event
from turnline_schemas.event_data import Snapshot

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 2.0
"""Pauses between tries double from the first to the longest, in seconds."""

SILENCE: Final = 2.0
"""Seconds a subscription may leave a ping unanswered before it counts as lost."""


@dataclass(frozen=True, slots=True)
class Open:
    """Drop what there is, connect, subscribe, and wait for the confirmation."""


@dataclass(frozen=True, slots=True)
class ReadLog:
    """Read the meta, and the log after seq ``after``, as of one moment."""

    after: int


@dataclass(frozen=True, slots=True)
class Ping:
    """Send a ping on the subscription; its answer comes as a message."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Wait for a message on the subscription; ``until`` may have passed: then only look."""

    until: float


@dataclass(frozen=True, slots=True)
class Fetch:
    """Ask the snapshot source."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing before ``until``."""

    until: float


Action = Open | ReadLog | Ping | Listen | Fetch | Pause


class Course:
    """Decides what a follower does next.

    Half-open connections are found out: a read has a timeout, and a subscription that does not
    answer a ping is replaced.  Meanwhile every check reads the log, so nothing waits for that.
    """

    def __init__(
        self,
        reader: Reader,
        *,
        url: str,
        check_every: float,
        give_up_after: float | None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._reader = reader
        self._url = url
        self._check_every = check_every
        self._give_up_after = give_up_after
        self._jitter = jitter
        self._open = False
        self._started = False
        self._failures = 0
        self._down_since: float | None = None
        self._pause_until = 0.0
        self._check_at = 0.0
        self._ping_due = False
        self._pinged_at: float | None = None

    @property
    def started(self) -> bool:
        """Whether the log was read once; before that, failures are not retried."""
        return self._started

    @property
    def cursor(self) -> str | None:
        """Where a reader that has all events taken so far continues."""
        return None if self._reader.cursor is None else str(self._reader.cursor)

    def take(self) -> Event | None:
        """Return the next event, if there is one.

        Raises:
            UnreadableEventError: the next event cannot be read.
        """
        return self._reader.take()

    def next(self, now: float) -> Action:
        """Return what to do, once there is nothing to take."""
        need = self._reader.need
        if (not self._open or need is Need.SNAPSHOT) and now < self._pause_until:
            return Pause(self._pause_until)
        if not self._open:
            return Open()
        if need is Need.SNAPSHOT:
            return Fetch()
        if need is Need.LOG:
            return ReadLog(self._reader.after)
        return Ping() if self._ping_due else Listen(self._check_at)

    def opened(self) -> None:
        """The subscription is confirmed: whatever was published before it is in the log."""
        self._open = True
        self._ping_due = False
        self._pinged_at = None
        self._reader.check()

    def page(self, page: Page, now: float) -> None:
        """Redis answered.

        Raises:
            StaleSnapshotError: too many snapshots in a row were behind the log.
        """
        self._started = True
        self._failures = 0
        self._down_since = None
        self._check_at = now + self._check_every
        self._reader.page(page)
        if self._reader.stale_snapshots:
            self._pause_until = now + _pause(self._reader.stale_snapshots)

    def pinged(self, now: float) -> None:
        """A ping is on its way."""
        self._ping_due = False
        self._pinged_at = now

    def heard(self, message: bytes | None, now: float) -> None:
        """A message came; empty if it is no frame but shows life; None if none came in time.

        Raises:
            RedisUnavailableError: as ``lost``.
        """
        if message is None:
            if now >= self._check_at:
                self._check(now)
            return
        self._pinged_at = None
        if message:
            self._reader.frame(message)
        if self._reader.has_ready:
            self._check_at = now + self._check_every

    def snapshot(self, snapshot: Snapshot) -> None:
        """The source answered.

        Raises:
            InvalidCursorError: the snapshot's cursor is none.
            InvalidMessageError: the snapshot is another session's.
        """
        self._reader.snapshot(snapshot)

    def lost(self, reason: object, now: float) -> None:
        """Redis failed: connect again, later.

        Raises:
            RedisUnavailableError: it never worked, or has not for ``give_up_after`` seconds.
                Going on is allowed: that much time is waited again.
        """
        self._open = False
        if not self._started:
            raise RedisUnavailableError(self._url, reason)
        self._failures += 1
        self._pause_until = now + _pause(self._failures) * (1 + self._jitter()) / 2
        if self._down_since is None:
            self._down_since = now
        if self._give_up_after is None:
            return
        give_up_at = self._down_since + self._give_up_after
        if now >= give_up_at:
            self._down_since = None
            raise RedisUnavailableError(self._url, reason)
        self._pause_until = min(self._pause_until, give_up_at)

    def _check(self, now: float) -> None:
        if self._pinged_at is None:
            self._ping_due = True
        elif now - self._pinged_at >= max(SILENCE, self._check_every):
            self.lost("the subscription does not answer", now)
            return
        self._reader.check()


def _pause(failures: int) -> float:
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures - 1, 16))

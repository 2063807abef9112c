"""The rules of following one session's log: pages and frames in, events out.  No I/O, no waiting.

Whoever does the I/O obeys ``need``, hands over what it got, and takes the events:

============  =======================================================================
``need``      to do
============  =======================================================================
``LOG``       read the meta and the log after ``after``, as of one moment: ``page()``
``SNAPSHOT``  ask the snapshot source: ``snapshot()``
``NEWS``      wait for a frame: ``frame()``; now and then ``check()``
============  =======================================================================

Pages are the truth and frames are hints: pub/sub is at most once, so a frame only ever saves a
read.  A frame that does not follow exactly on what was read is dropped and the log is read.
Only a page can change the epoch or cause a reset.
"""

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Final, Literal

from pydantic import ValidationError

from turnline_consumer.errors import StaleSnapshotError, UnreadableEventError
from turnline_consumer.page import Page
from turnline_schemas.cursor import Cursor
from turnline_schemas.errors import InvalidMessageError
from turnline_schemas.event import FRAME, Event, parse_event
from turnline_schemas.event_data import SessionReset, Snapshot
from turnline_schemas.message import describe

LATEST: Final = "latest"
"""As ``after``: only what comes from now on."""

MAX_SNAPSHOTS: Final = 5
"""How many snapshots in a row may be behind the log before the reader gives up."""

Reason = Literal["epoch_changed", "trimmed", "ahead"]


class Need(Enum):
    """What the reader needs next."""

    LOG = "log"
    SNAPSHOT = "snapshot"
    NEWS = "news"


class _Start(Enum):
    """Where to begin in a log that was not seen yet."""

    OLDEST = "oldest"
    LATEST = "latest"
    BASE = "base"


class Reader:
    """Follows one session.  Every event is taken once and in order, or a reset says otherwise."""

    def __init__(
        self, session: str, after: str | None, *, has_source: bool, clock: Callable[[], int]
    ) -> None:
        """Begin after the cursor ``after``, at ``LATEST``, or (None) at the oldest event kept.

        Args:
            session: the session's id.
            after: cursor as it came from the caller.
            has_source: whether ``need`` may be ``SNAPSHOT``.
            clock: returns ms since 1970, for the resets' ``ts``.

        Raises:
            InvalidCursorError: ``after`` is no cursor.
        """
        self._session = session
        self._has_source = has_source
        self._clock = clock
        self._start: _Start | None = None
        self._at = Cursor("", 0)
        self._taken: Cursor | None = None
        if after is None or after == LATEST:
            self._start = _Start.OLDEST if after is None else _Start.LATEST
        else:
            self._at = self._taken = Cursor.parse(after)
        self._ready: deque[Event] = deque()
        self._broken: UnreadableEventError | None = None
        self._behind = True
        self._lost: tuple[Reason, Cursor] | None = None
        self._snapshot: Snapshot | None = None
        self._wants_snapshot = False
        self._stale = 0

    @property
    def cursor(self) -> Cursor | None:
        """Where a reader that has all events taken so far continues; None if not known yet."""
        return self._taken

    @property
    def after(self) -> int:
        """The seq that the next page must begin after."""
        return 0 if self._start else self._at.seq

    @property
    def need(self) -> Need:
        """What to do once there is nothing to take."""
        if self._wants_snapshot:
            return Need.SNAPSHOT
        return Need.LOG if self._behind else Need.NEWS

    @property
    def stale_snapshots(self) -> int:
        """How many snapshots in a row could not be continued."""
        return self._stale

    @property
    def has_ready(self) -> bool:
        """Whether ``take`` would return or raise something."""
        return bool(self._ready or self._broken)

    def take(self) -> Event | None:
        """Return the next event, or None if there is none yet.

        Raises:
            UnreadableEventError: the next event cannot be read; so will every later call.
        """
        if self._ready:
            event = self._ready.popleft()
            self._taken = event.cursor
            return event
        if self._broken:
            raise self._broken
        return None

    def check(self) -> None:
        """Compare with the log: time passed without news, or the subscription is a new one."""
        self._behind = True

    def frame(self, raw: bytes) -> None:
        """Take in a pub/sub message.  Whatever is wrong with it, the log will put it right."""
        self._behind = not self._follows(raw) or self._behind

    def page(self, page: Page) -> None:
        """Take in what the log answered.  A page after another seq than ``after`` is ignored.

        Raises:
            StaleSnapshotError: too many snapshots in a row were behind the log.
        """
        if page.after != self.after:
            return
        self._behind = False
        if page.epoch is None:
            self._no_log()
            return
        if self._start:
            self._begin(page, page.epoch)
        reason = self._obstacle(page)
        if reason is None:
            self._go_on(page, page.epoch)
        else:
            self._lose(reason, page, page.epoch)

    def snapshot(self, snapshot: Snapshot) -> None:
        """Take in what the snapshot source answered.

        Raises:
            InvalidCursorError: its cursor is none.
            InvalidMessageError: it is another session's.
        """
        if snapshot.session != self._session:
            raise InvalidMessageError(
                f"snapshot of session {snapshot.session!r}; expected {self._session!r}",
                code="wrong_session",
            )
        self._at = Cursor.parse(snapshot.cursor)
        self._snapshot = snapshot
        self._wants_snapshot = False
        self._behind = True

    def _follows(self, raw: bytes) -> bool:
        """Append the frame's new events; return False if the log must be read."""
        if self._start or self._lost or self._broken or not self._at.epoch:
            return False
        try:
            frame = FRAME.validate_json(raw)
            if frame.epoch != self._at.epoch:
                return False
            for payload in frame.events:
                event = parse_event(payload, epoch=frame.epoch)
                if event.seq > self._at.seq + 1:
                    return False
                if event.seq > self._at.seq:
                    self._append(event)
        except (ValueError, RecursionError):
            return False
        return True

    def _no_log(self) -> None:
        """Nothing was ever published, or everything expired: wait, whatever the cursor."""
        if self._start is _Start.LATEST:
            self._start = _Start.BASE
        if self._snapshot:
            self._reset()

    def _begin(self, page: Page, epoch: str) -> None:
        oldest = page.first_after(0)
        places = {
            _Start.OLDEST: page.top if oldest is None else oldest - 1,
            _Start.LATEST: page.top,
            _Start.BASE: page.base,
        }
        if self._start:
            self._at = Cursor(epoch, places[self._start])
            self._start = None

    def _obstacle(self, page: Page) -> Reason | None:
        """Return why reading cannot go on from where it is, or None."""
        if self._at.epoch != page.epoch and (self._at.epoch or self._at.seq < page.base):
            return "epoch_changed"
        if self._at.seq > page.top:
            return "ahead"
        if self._at.seq < page.top and page.first_after(self._at.seq) != self._at.seq + 1:
            return "trimmed"
        return None

    def _go_on(self, page: Page, epoch: str) -> None:
        self._at = Cursor(epoch, self._at.seq)
        self._reset()
        if not self._ready:
            self._taken = self._at
        for seq, raw in page.entries:
            if seq == self._at.seq + 1:
                self._read(seq, raw)
            if self._broken:
                return
        self._behind = self._at.seq < page.top

    def _lose(self, reason: Reason, page: Page, epoch: str) -> None:
        """Find another place to go on from; the reset is told once that is certain."""
        if self._snapshot:
            self._snapshot = None
            self._stale += 1
        self._lost = self._lost or (reason, self._at)
        if self._has_source:
            self._wants_snapshot = True
            if self._stale >= MAX_SNAPSHOTS:
                self._stale = 0
                raise StaleSnapshotError(self._session, self._at, reason)
        elif reason == "trimmed":
            first = page.first_after(self._at.seq)
            self._at = Cursor(epoch, page.top if first is None else first - 1)
            self._go_on(page, epoch)
        else:
            self._start = _Start.OLDEST
            self._behind = True

    def _reset(self) -> None:
        """Tell the reset that is due, if any; reading goes on from ``_at``."""
        if self._lost is None:
            return
        reason, requested = self._lost
        data = SessionReset(
            reason=reason,
            requested=str(requested),
            cursor=str(self._at),
            snapshot=self._snapshot,
        )
        self._ready.append(
            Event(
                seq=self._at.seq,
                session=self._session,
                ts=self._clock(),
                type="session.reset",
                data=data,
                epoch=self._at.epoch,
            )
        )
        self._lost = self._snapshot = None
        self._stale = 0

    def _read(self, seq: int, raw: bytes) -> None:
        """Append the log's entry ``seq``; if it cannot be read, nothing comes after it."""
        try:
            event = parse_event(raw, epoch=self._at.epoch)
        except ValidationError as error:
            problem = describe(error)
        except (ValueError, TypeError, RecursionError) as error:
            problem = str(error)
        else:
            if event.seq == seq:
                self._append(event)
                return
            problem = f"it says seq {event.seq}"
        cursor = Cursor(self._at.epoch, seq)
        self._broken = UnreadableEventError(self._session, cursor, problem)

    def _append(self, event: Event) -> None:
        self._ready.append(event)
        self._at = event.cursor

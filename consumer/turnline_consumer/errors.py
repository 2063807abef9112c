"""Errors that only a reader can have; the tree they hang in is ``turnline_schemas.errors``.

TurnlineError
├── UnreadableEventError       upgrade, or go on behind the event
└── TryLaterError
    └── StaleSnapshotError     the source's snapshots are behind the log
"""

from turnline_schemas.cursor import Cursor
from turnline_schemas.errors import TryLaterError, TurnlineError


class UnreadableEventError(TurnlineError):
    """An event of the log is not what version 1 allows; the reader stands before it.

    Skipping it in silence would break the promise of exact resume.
    Upgrade this package, or skip the event knowingly: ``follow(session, after=error.cursor)``.
    """

    code = "unreadable_event"

    def __init__(self, session: str, cursor: Cursor, problem: str) -> None:
        self.session = session
        self.cursor = str(cursor)
        """The unreadable event's own cursor: following after it goes on behind it."""
        super().__init__(
            f"event {self.cursor} of session {session!r} cannot be read ({problem});"
            f" upgrade turnline, or skip it with after={self.cursor!r}"
        )


class StaleSnapshotError(TryLaterError):
    """No snapshot of several could be continued from the log; the log moves on too fast."""

    code = "stale_snapshot"

    def __init__(self, session: str, cursor: Cursor, reason: str) -> None:
        self.session = session
        self.cursor = str(cursor)
        self.reason = reason
        super().__init__(
            f"the log of session {session!r} cannot be continued from its newest snapshot, at"
            f" {self.cursor} ({reason}); is the snapshot source up to date?"
        )

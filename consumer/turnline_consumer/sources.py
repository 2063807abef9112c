"""Where a follower gets a session as a whole, when its cursor cannot be continued."""

from collections.abc import Awaitable
from typing import Protocol

from turnline_schemas.event_data import Snapshot


class SnapshotSource(Protocol):
    """Returns a session as of a cursor, such as from the gateway or from Postgres.

    It is asked again if the log has left its cursor behind meanwhile, so it must not cache.
    Whatever it raises, the follower raises; the next call asks it again.
    """

    def __call__(self, session: str, /) -> Snapshot: ...


class AsyncSnapshotSource(Protocol):
    """A ``SnapshotSource`` that may be awaited; one that blocks, blocks the event loop."""

    def __call__(self, session: str, /) -> Snapshot | Awaitable[Snapshot]: ...

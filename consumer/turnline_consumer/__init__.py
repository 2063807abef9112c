"""Follow a session: every event after a cursor, once and in order, live and after a disconnect.

Needs Redis, and neither the database nor the workers.
"""

from turnline_consumer.afollower import AsyncFollower, afollow
from turnline_consumer.errors import StaleSnapshotError, UnreadableEventError
from turnline_consumer.follower import Follower, follow
from turnline_consumer.reader import LATEST
from turnline_consumer.sources import AsyncSnapshotSource, SnapshotSource

__all__ = [
    "LATEST",
    "AsyncFollower",
    "AsyncSnapshotSource",
    "Follower",
    "SnapshotSource",
    "StaleSnapshotError",
    "UnreadableEventError",
    "afollow",
    "follow",
]

"""Every name on the wire: Redis keys, Celery tasks, the queue.  Names, and nothing else.

All keys of a session share the hash tag ``{<session>}``, so that they live in one slot of a
Redis cluster.
"""

from typing import Final
from zlib import crc32

PLAY_TASK: Final = "turnline.play"
"""The bell.  Arguments: session and turn id, never text."""

ENQUEUE_TASK: Final = "turnline.enqueue"
"""Enqueues a turn for callers that have nothing but a Celery client."""

QUEUE: Final = "turnline.turns"
"""The broker queue that workers consume."""

RUNG_SHARDS: Final = 16
"""Number of sorted sets that hold the sessions rung and not yet taken."""

DEAD_LETTERS: Final = "tl:dead"
"""Stream of messages that could not be accepted, with the reason."""


def inbox_key(session: str) -> str:
    """Stream: turns enqueued and not yet accepted.  Entry field ``d`` holds the message."""
    return f"tl:{{{session}}}:inbox"


def meta_key(session: str) -> str:
    """Hash: epoch, base, top seq, fence and batch of the event log."""
    return f"tl:{{{session}}}:meta"


def log_key(session: str) -> str:
    """Stream: the hot event log, entry id ``<seq>-0``, field ``d`` holds the event."""
    return f"tl:{{{session}}}:log"


def events_channel(session: str) -> str:
    """Pub/sub channel: one JSON frame per published batch."""
    return f"tl:{{{session}}}:events"


def control_channel(session: str) -> str:
    """Pub/sub channel: nudges to the worker that plays the session (hints, never the truth)."""
    return f"tl:{{{session}}}:control"


def turn_key(session: str, turn: str) -> str:
    """String ``<position>|<fingerprint>|<state>``: makes enqueueing a turn idempotent.

    State is empty until intake, then ``accepted`` or ``refused:<reason>``.
    """
    return f"tl:{{{session}}}:turn:{turn}"


def cancel_key(session: str, turn: str, call: str) -> str:
    """Like ``turn_key``, for one call that cancels a turn ('#' cannot occur in a turn id).

    A turn may be cancelled again: the first time may have come before the turn itself.
    """
    return f"tl:{{{session}}}:turn:{turn}#cancel.{call}"


def resume_key(session: str, turn: str, fingerprint: str) -> str:
    """Like ``turn_key``, for one answer to one question of a turn."""
    return f"tl:{{{session}}}:turn:{turn}#resume.{fingerprint}"


def settled_key(session: str, turn: str) -> str:
    """String: set when the turn's terminal event was published, so that it is so only once."""
    return f"tl:{{{session}}}:settled:{turn}"


def state_key(session: str) -> str:
    """Hash: state and revision of a session that is played in process and kept in Redis."""
    return f"tl:{{{session}}}:state"


def rung_key(session: str) -> str:
    """Sorted set by time (ms): sessions that were rung and whose inbox was not taken yet."""
    return rung_shard_key(crc32(session.encode()) % RUNG_SHARDS)


def rung_shard_key(shard: int) -> str:
    """The ``shard``-th of the ``RUNG_SHARDS`` sorted sets."""
    return f"tl:rung:{shard}"

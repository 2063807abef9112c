"""The hot event log: number, append and publish, in one call per batch, under a fence."""

import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import redis
import redis.asyncio as aioredis
from redis.exceptions import ResponseError

from turnline_schemas.names import events_channel, log_key, meta_key, settled_key
from turnline_workers.bus.scripts import PUBLISH
from turnline_workers.flow import TerminalEvent

META_TTL: Final = 30 * 86_400
"""Seconds a session's numbers live; far longer than its log, so that they never restart."""


@dataclass(frozen=True, slots=True)
class LogLimits:
    """How much of a log is kept."""

    length: int
    log_ttl: int
    """Seconds after the last event."""
    meta_ttl: int = META_TTL


LAST: Final = 2**53 - 1
"""Number of the batch that ends a claim: nothing of that claim comes after it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one publish says about itself beside its events."""

    session: str
    fragments: tuple[str, ...]
    fence: float | None = None
    """The claim; None only with ``settles``.  Below 1 it is none of a worker's."""
    number: int = 0
    """Counts the batches of a claim from 1, so that repeating one is harmless; ``LAST`` ends it."""
    epoch: str = ""
    """The epoch that the claim publishes in; empty accepts any."""
    floor: int = 0
    messages: int = 0
    settles: str | None = None
    """The turn that this batch ends without a claim: it never started."""
    snapshot_here: bool = False
    """The turn was the one being played: nothing of another one is under way."""

    @classmethod
    def terminal(cls, event: TerminalEvent, *, floor: int, messages: int) -> "Batch":
        """Return the batch that ends a turn.

        Published once, however often it is tried and by whom: it closes its claim, and a newer
        claim of the session publishes it before its own first event.

        Args:
            floor: last seq that Postgres knew before it.
            messages: length of the transcript with the turn in it.
        """
        return cls(
            event.session,
            (event.fragment,),
            fence=event.fence,
            number=LAST,
            floor=floor,
            messages=messages,
            settles=None if event.played else event.turn,
            snapshot_here=event.played and not event.pauses,
        )


@dataclass(frozen=True, slots=True)
class Published:
    """What the log answered."""

    status: Literal["ok", "repeated", "fenced", "epoch"]
    epoch: str
    top: int


class EventLog:
    """Writes to the logs of all sessions, from the loop."""

    def __init__(self, client: "aioredis.Redis", limits: LogLimits) -> None:
        self._limits = limits
        self._redis = client
        self._script = client.register_script(PUBLISH)

    async def publish(self, batch: Batch) -> Published:
        """Publish ``batch``, whole or not at all.  Safe to repeat."""
        keys, args = _call(batch, self._limits)
        try:
            return _answer(await self._script(keys=keys, args=args))
        except ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
        # Something else stands where the log was: the log is lost, and a new one begins.
        await self._redis.delete(*keys)
        return _answer(await self._script(keys=keys, args=args))


class SyncEventLog:
    """The same for a thread."""

    def __init__(self, client: "redis.Redis", limits: LogLimits) -> None:
        self._limits = limits
        self._script = client.register_script(PUBLISH)

    def publish(self, batch: Batch) -> Published:
        """Publish ``batch``, whole or not at all.  Safe to repeat."""
        keys, args = _call(batch, self._limits)
        return _answer(self._script(keys=keys, args=args))


def new_epoch() -> str:
    """Return a name for a new life of a log."""
    return "".join(secrets.choice(string.ascii_letters) for _ in range(8))


def _call(batch: Batch, limits: LogLimits) -> tuple[list[str], list[Any]]:
    keys = [meta_key(batch.session), log_key(batch.session)]
    if batch.settles is not None:
        keys.append(settled_key(batch.session, batch.settles))
    fence, number = ("", "") if batch.fence is None else (batch.fence, batch.number)
    args: list[Any] = [events_channel(batch.session), fence, number, batch.epoch]
    args += [batch.floor, new_epoch(), batch.messages]
    args += [limits.length, limits.log_ttl, limits.meta_ttl, int(batch.snapshot_here)]
    return keys, args + list(batch.fragments)


def _answer(raw: Sequence[Any]) -> Published:
    status, epoch, top = raw
    return Published(status.decode(), epoch.decode(), int(top))

"""Publishes the events of one claim: coalesced, numbered once, under its fence."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from turnline_schemas.event_data import EventData
from turnline_workers.bus.connect import PASSING
from turnline_workers.bus.log import Batch, EventLog
from turnline_workers.errors import ClaimLostError
from turnline_workers.flow import Claim, LogEvent
from turnline_workers.interaction.buffer import Delta, EventBuffer
from turnline_workers.runner.backoff import pauses

WINDOW: Final = 0.03
"""Seconds that deltas are collected after the first one was sent at once."""

FULL: Final = 512
"""Characters of deltas that are sent without waiting for the window to end."""

CROWD: Final = 256
"""Events that may wait before the turn waits for Redis."""

logger = structlog.get_logger(__name__)


class TurnPublisher:
    """One claim's way into the log.  May be interrupted anywhere: what it began it sends again.

    While Redis is away it waits, and with it the turn: a turn whose log had holes would show
    followers another text than the transcript holds.
    """

    def __init__(
        self,
        log: EventLog,
        claim: Claim,
        *,
        now_ms: Callable[[], int],
        still_valid: Callable[[], Awaitable[bool]],
    ) -> None:
        """Begin at the claim's first batch.

        Args:
            still_valid: asks Postgres about the claim; needed when the log has lost its fence.
        """
        self._log = log
        self._claim = claim
        self._now_ms = now_ms
        self._still_valid = still_valid
        self._waiting = EventBuffer()
        self._history = EventBuffer()
        self._in_flight: Batch | None = None
        self._number = 0
        self._epoch = ""
        self._sending = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._failure: Exception | None = None
        self._window_ends = 0.0
        self.top = claim.last_seq
        """Last seq of the log as of the last batch."""

    async def add(self, data: EventData) -> None:
        """Publish ``data`` very soon, together with what comes while Redis is busy.

        The first delta goes at once, later ones every ``WINDOW`` or when ``FULL``; anything but
        a delta goes at once, with all that waits before it.

        Raises:
            ClaimLostError: a newer claim has published; stop playing.
        """
        if self._failure is not None:
            raise self._failure
        self._waiting.add(data)
        self._history.add(data)
        loop = asyncio.get_running_loop()
        now = loop.time()
        is_delta = isinstance(data, Delta)
        if is_delta and self._waiting.size < FULL and now < self._window_ends:
            if self._timer is None:
                self._timer = loop.call_at(self._window_ends, self._flush_soon)
            return
        if is_delta:
            self._window_ends = now + WINDOW
        self._flush_soon()
        if len(self._waiting) >= CROWD or self._waiting.size >= FULL:
            await self.flush()

    async def flush(self) -> None:
        """Return once everything added is in the log.

        Raises:
            ClaimLostError: a newer claim has published; nothing more was written.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        async with self._sending:
            while self._in_flight is not None or self._waiting:
                if self._in_flight is None:
                    self._in_flight = self._batch(self._waiting.drain())
                await self._send(self._in_flight)
                self._in_flight = None

    async def close(self) -> None:
        """Stop the timer; nothing is published after this."""
        if self._timer is not None:
            self._timer.cancel()
        if self._flushing is not None and not self._flushing.done():
            self._flushing.cancel()
            await asyncio.wait([self._flushing])

    def _flush_soon(self) -> None:
        """Flush from a task: what is added before it runs, or while it waits, goes with it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.get_running_loop().create_task(self._flush_quietly())

    async def _flush_quietly(self) -> None:
        try:
            await self.flush()
        except Exception as error:  # noqa: BLE001 - raised by the next add
            self._failure = error

    def _batch(self, events: list[EventData]) -> Batch:
        self._number += 1
        claim, now = self._claim, self._now_ms()
        fragments = tuple(
            LogEvent(claim.session, claim.turn.turn, claim.turn.attempt, now, data).fragment()
            for data in events
        )
        return Batch(
            claim.session,
            fragments,
            fence=claim.fence,
            number=self._number,
            epoch=self._epoch,
            floor=self.top,
            messages=claim.messages,
        )

    async def _send(self, batch: Batch) -> None:
        for pause in pauses():
            try:
                published = await self._log.publish(batch)
            except PASSING as error:
                logger.warning("log.unavailable", session=batch.session, error=str(error))
                await asyncio.sleep(pause)
                continue
            if published.status == "fenced":
                raise ClaimLostError(self._claim.session, self._claim.fence)
            if published.status == "epoch":
                batch = await self._started_over()
                continue
            self._epoch, self.top = published.epoch, published.top
            return

    async def _started_over(self) -> Batch:
        """Return a batch with the whole attempt: the log that it began in is gone.

        The fence is gone with it, so Postgres is asked first.
        """
        if not await self._still_valid():
            raise ClaimLostError(self._claim.session, self._claim.fence)
        logger.warning("log.started_over", session=self._claim.session, turn=self._claim.turn.turn)
        self._epoch = ""
        self._waiting.drain()
        self._in_flight = self._batch(self._history.events())
        return self._in_flight

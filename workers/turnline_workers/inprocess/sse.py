"""Events as server-sent events, for the streaming response of any ASGI framework."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Final

from turnline_schemas.cursor import Cursor
from turnline_schemas.event import Event
from turnline_workers.bus.log import new_epoch
from turnline_workers.errors import SlowReaderError, StreamClosedError

PING: Final = b": ping\n\n"
"""A comment, which browsers ignore and proxies count as a sign of life."""


class SSEStream:
    """Hands frames to one reader: ``StreamingResponse(stream, media_type="text/event-stream")``.

    Emit and read in the same event loop.
    """

    def __init__(
        self, *, limit: int = 1_000, ping: float | None = 15.0, epoch: str | None = None
    ) -> None:
        """Wait for events and for the reader.

        Args:
            limit: events that may wait for a reader that does not read.
            ping: seconds of silence after which a comment is sent; None for never.
            epoch: first half of each frame's id, ``<epoch>:<seq>``; the stream's own unless given.
                No log has that one, so ``follow`` cannot resume from such an id.
        """
        self.epoch = new_epoch() if epoch is None else epoch
        self._limit = limit
        self._ping = ping
        self._waiting: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._closed = False
        self._overrun = False

    async def emit(self, event: Event) -> None:
        """Take one event; otherwise as ``emit_many``."""
        await self.emit_many((event,))

    async def emit_many(self, events: Sequence[Event]) -> None:
        """Take several events, all or none.

        Raises:
            SlowReaderError: too many events wait already.  The stream ends behind them, without
                a hole, and takes no more.
            StreamClosedError: it was closed, or its reader has left.
        """
        if not self._closed and len(self._waiting) + len(events) > self._limit:
            self._overrun = True
            self.close()
        if self._overrun:
            raise SlowReaderError(
                f"the reader of an SSE stream is over {self._limit} events behind"
            )
        if self._closed:
            raise StreamClosedError("the SSE stream was closed, or its reader is gone")
        self._waiting += [_frame(event, self.epoch) for event in events]
        self._news.set()

    def close(self) -> None:
        """End the response behind what was emitted."""
        self._closed = True
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield frames until ``close``.  For one reader; leaving the loop closes the stream."""
        try:
            while True:
                while self._waiting:
                    yield self._waiting.popleft()
                if self._closed:
                    return
                self._news.clear()
                if not await self._comes():
                    yield PING
        finally:
            self.close()

    async def _comes(self) -> bool:
        """Return whether anything comes before a ping is due."""
        try:
            async with asyncio.timeout(self._ping):
                await self._news.wait()
        except TimeoutError:
            return False
        return True


def _frame(event: Event, epoch: str) -> bytes:
    # JSON has no line breaks, so one data line holds it.
    return f"id: {Cursor(epoch, event.seq)}\ndata: {event.to_json()}\n\n".encode()

"""Where a session's events go while it is played in this process."""

import asyncio
import warnings
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack
from typing import Protocol

from turnline_schemas.event import Event
from turnline_workers.errors import StreamError


class EventStream(Protocol):
    """Takes events, in order.

    A stream that cannot take them raises; whoever emits then goes on without it.  Numbers may
    begin anew: a turn that was not saved is followed by one with the same numbers.
    ``turnline_workers.testing`` says what else a stream must do, and checks it.
    """

    async def emit(self, event: Event) -> None:
        """Take one event."""
        ...

    async def emit_many(self, events: Sequence[Event]) -> None:
        """Take several events; none is allowed too.  The sequence stays the caller's to change."""
        ...


class IteratorStream:
    """Hands events to an async iterator in the same process: ``async for event in stream``."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue()

    async def emit(self, event: Event) -> None:
        """Take one event."""
        self._queue.put_nowait(event)

    async def emit_many(self, events: Sequence[Event]) -> None:
        """Take several events."""
        for event in events:
            self._queue.put_nowait(event)

    def close(self) -> None:
        """Let the iterator end behind what was emitted."""
        self._queue.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[Event]:
        while (event := await self._queue.get()) is not None:
            yield event


class FanOut:
    """Hands events to several streams.  One that fails is reported, and the others go on.

    It keeps being offered what comes later, because a server may come back; every failure is
    reported, so count them if you want to drop it.  Streams are served in turn: one that is
    slow slows all, and the session with them.
    """

    def __init__(
        self,
        *streams: EventStream,
        report: Callable[[EventStream, Exception], None] | None = None,
    ) -> None:
        """Take the streams.

        Args:
            report: told which stream failed, and how; by default a ``RuntimeWarning``.  What it
                raises is raised when every failure is reported.
        """
        self._streams = streams
        self._report = report or _warn

    async def emit(self, event: Event) -> None:
        """Hand one event to every stream."""
        await self.emit_many((event,))

    async def emit_many(self, events: Sequence[Event]) -> None:
        """Hand several events to every stream."""
        failures: list[tuple[EventStream, Exception]] = []
        for stream in self._streams:
            try:
                await stream.emit_many(events)
            except asyncio.CancelledError as error:
                if _is_cancelled():
                    raise
                # Nobody asked this task to stop: something inside the stream was cancelled.
                failures.append((stream, StreamError(f"cancelled by itself: {error!r}")))
            except Exception as error:  # noqa: BLE001 - a stream may raise anything
                failures.append((stream, error))
        # Only now, because a report may raise: warnings do, where they are errors.
        with ExitStack() as reporting:
            for stream, failure in reversed(failures):
                reporting.callback(self._report, stream, failure)


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _warn(stream: EventStream, error: Exception) -> None:
    warnings.warn(
        f"{type(stream).__name__} lost events: {type(error).__name__}: {error}",
        RuntimeWarning,
        stacklevel=2,
    )

"""Events as frames of a WebSocket, whichever library it is of."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from turnline_schemas.event import Event
from turnline_workers.errors import SlowReaderError, StreamClosedError


class TextSocket(Protocol):
    """A socket of Starlette, FastAPI and the like."""

    async def send_text(self, data: str) -> None:
        """Send one text frame."""
        ...


class PlainSocket(Protocol):
    """A socket of ``websockets`` and the like."""

    async def send(self, message: str) -> None:
        """Send one text frame, if given text."""
        ...


class WebSocketStream:
    """Sends each event as one text frame that holds its JSON.  The socket stays yours to close."""

    def __init__(self, socket: TextSocket | PlainSocket, *, patience: float = 10.0) -> None:
        """Send nothing yet.

        Args:
            patience: seconds that one frame may take; the session waits for it.
        """
        self._send: Callable[[str], Awaitable[Any]] = (
            getattr(socket, "send_text", None) or getattr(socket, "send")  # noqa: B009
        )
        self._patience = patience
        self._broken: Exception | None = None

    async def emit(self, event: Event) -> None:
        """Send one event; otherwise as ``emit_many``."""
        await self.emit_many((event,))

    async def emit_many(self, events: Sequence[Event]) -> None:
        """Send several events.

        Raises:
            SlowReaderError: a frame took too long; nothing more is sent.
            StreamClosedError: an earlier frame failed; nothing more is sent, so that the reader
                has no hole.
            Exception: what the socket raised, which is dead.
        """
        if self._broken is not None:
            raise StreamClosedError("the WebSocket failed before") from self._broken
        for event in events:
            try:
                async with asyncio.timeout(self._patience):
                    await self._send(event.to_json())
            except TimeoutError as error:
                self._broken = error
                raise SlowReaderError(
                    f"the reader of a WebSocket took no frame within {self._patience:g} s"
                ) from error
            except Exception as error:
                self._broken = error
                raise

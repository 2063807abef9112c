"""Nudges between workers: "this turn should stop".  Hints; the truth is a row in Postgres."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import redis.asyncio as aioredis
import structlog
from redis.exceptions import RedisError

from turnline_schemas.names import control_channel

_PATTERN = control_channel("*")
_HEAD, _TAIL = (part.encode() for part in _PATTERN.split("*"))

logger = structlog.get_logger(__name__)


class Nudges:
    """Sends nudges, and hands those that arrive to one receiver."""

    def __init__(self, client: "aioredis.Redis", receiver: Callable[[str, str], None]) -> None:
        """Do nothing yet.

        Args:
            receiver: called on the loop with session and turn.
        """
        self._redis = client
        self._receiver = receiver
        self._task: asyncio.Task[None] | None = None

    async def send(self, channel: str, turn: str) -> None:
        """Tell whoever plays ``turn`` to look at it.  A failure is logged: the sweep looks too."""
        try:
            await self._redis.publish(channel, turn)
        except RedisError as error:
            logger.warning("nudge.not_sent", channel=channel, error=str(error))

    def start(self) -> None:
        """Begin to listen, on the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._listen())

    async def stop(self) -> None:
        """End listening."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _listen(self) -> None:
        while True:
            pubsub: Any = self._redis.pubsub()
            try:
                await pubsub.psubscribe(_PATTERN)
                async for message in pubsub.listen():
                    if message["type"] == "pmessage":
                        self._receive(message["channel"], message["data"])
            except RedisError as error:
                logger.debug("nudges.interrupted", error=str(error))
                await asyncio.sleep(1)
            finally:
                with suppress(RedisError):
                    await pubsub.aclose()

    def _receive(self, channel: bytes, data: bytes) -> None:
        session = channel.removeprefix(_HEAD).removesuffix(_TAIL)
        self._receiver(session.decode("utf-8", "replace"), data.decode("utf-8", "replace"))

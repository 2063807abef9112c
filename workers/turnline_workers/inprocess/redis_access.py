"""One way to call Redis from any event loop, whichever kind of client there is."""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import redis
import redis.asyncio as aioredis
from redis.exceptions import RedisError, ResponseError

from turnline_schemas.errors import ConfigurationError, RedisUnavailableError
from turnline_workers.bus.connect import open_sync

Answer = TypeVar("Answer")


class RedisAccess:
    """Calls Redis through a client that was given, or through one of its own.

    Its own is one for threads: a client of asyncio serves one event loop only, and
    ``Session.send_sync`` begins a new one each time.
    """

    def __init__(self, client_or_url: "str | redis.Redis | aioredis.Redis") -> None:
        """Connect to nothing yet.

        Raises:
            ConfigurationError: the URL cannot be read, or the client decodes what it reads.
        """
        self._owned: redis.Redis | None = None
        self.client: Any = client_or_url
        if isinstance(client_or_url, str):
            try:
                self.client = self._owned = open_sync(client_or_url)
            except ValueError as error:
                raise ConfigurationError(f"{error}; expected redis://host:6379/0") from error
        options = self.client.connection_pool.connection_kwargs
        if options.get("decode_responses"):
            raise ConfigurationError("give a Redis client without decode_responses=True, or a URL")
        self.in_loop = isinstance(self.client, aioredis.Redis)
        """Whether functions of the client are awaited, rather than run in a thread."""
        self._address = _address(client_or_url, options)

    async def call(
        self, function: Callable[..., Answer | Awaitable[Answer]], *args: Any, **kwargs: Any
    ) -> Answer:
        """Return what ``function``, a piece of the client or a user of it, answers.

        Raises:
            RedisUnavailableError: Redis is away, or refuses; its text says what to check.
        """
        try:
            if self.in_loop:
                return await cast("Awaitable[Answer]", function(*args, **kwargs))
            return cast("Answer", await asyncio.to_thread(function, *args, **kwargs))
        except RedisError as error:
            answers = isinstance(error, ResponseError)
            raise RedisUnavailableError(self._address, error, answers=answers) from error

    async def aclose(self) -> None:
        """Close the client, if it is our own."""
        if self._owned is not None:
            await asyncio.to_thread(self._owned.close)


class UsesRedis:
    """What stores and streams in Redis have in common: they may own a connection."""

    def __init__(self, client_or_url: "str | redis.Redis | aioredis.Redis") -> None:
        self._access = RedisAccess(client_or_url)

    async def aclose(self) -> None:
        """Close the connections, if a URL was given."""
        await self._access.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


def _address(client_or_url: object, options: dict[str, Any]) -> str:
    if isinstance(client_or_url, str):
        return client_or_url
    if "path" in options:
        return f"unix://{options['path']}"
    host, port = options.get("host", "localhost"), options.get("port", 6379)
    return f"redis://{host}:{port}/{options.get('db', 0)}"

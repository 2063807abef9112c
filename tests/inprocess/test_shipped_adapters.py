"""Every store and every stream that is shipped keeps the rules, with real servers behind it."""

from collections.abc import Callable
from typing import Any

import pytest
import redis.asyncio as aioredis
from harness.readers import (
    redis_with_consumer,
    sse_over_http,
    websocket_of_starlette,
    websocket_of_websockets,
)
from harness.world import World
from sqlalchemy.ext.asyncio import AsyncEngine

from turnline_workers.store.engine import open_async_engine
from turnline_workers.stores import PostgresStore, RedisStore
from turnline_workers.streams import FanOut, IteratorStream, RedisStream
from turnline_workers.testing import STORE_RULES, STREAM_RULES, StreamUnderTest
from turnline_workers.testing.checking import run_rule
from turnline_workers.testing.shipped import iterator_stream, memory_store
from turnline_workers.testing.store_rules import sessions_do_not_mix


class LoopRedisStore(RedisStore):
    """On a client of asyncio, which is closed with it."""

    def __init__(self, url: str) -> None:
        self._client = aioredis.Redis.from_url(url)
        super().__init__(self._client, ttl=60)

    async def aclose(self) -> None:
        """Close the client."""
        await self._client.aclose()


class LoopRedisStream(RedisStream):
    """On a client of asyncio, which is closed with it."""

    def __init__(self, url: str) -> None:
        self._client = aioredis.Redis.from_url(url)
        super().__init__(self._client, ttl=60)

    async def aclose(self) -> None:
        """Close the client."""
        await self._client.aclose()


class PooledPostgresStore(PostgresStore):
    """On an engine with a pool, which is disposed of with it."""

    def __init__(self, url: str) -> None:
        self._pool: AsyncEngine = open_async_engine(url, connections=4)
        super().__init__(self._pool)

    async def aclose(self) -> None:
        """Close the pool."""
        await self._pool.dispose()


STORES: dict[str, Callable[[World], Callable[[], Any]]] = {
    "memory": lambda _: memory_store,
    "redis": lambda place: lambda: RedisStore(place.redis_url),
    "redis-ttl": lambda place: lambda: RedisStore(place.redis_url, ttl=60),
    "redis-loop": lambda place: lambda: LoopRedisStore(place.redis_url),
    "postgres": lambda place: lambda: PostgresStore(place.database_url),
    "postgres-pool": lambda place: lambda: PooledPostgresStore(place.database_url),
}


def fan_out() -> StreamUnderTest:
    """A fan-out, read at its second end."""
    one, other = IteratorStream(), iterator_stream()
    return StreamUnderTest(FanOut(one, other.stream), other.read)


STREAMS: dict[str, Callable[[World], Callable[[], Any]]] = {
    "iterator": lambda _: iterator_stream,
    "fan-out": lambda _: fan_out,
    "redis": lambda place: redis_with_consumer(
        place.redis_url, lambda: RedisStream(place.redis_url)
    ),
    "redis-loop": lambda place: redis_with_consumer(
        place.redis_url, lambda: LoopRedisStream(place.redis_url)
    ),
    "sse": lambda _: sse_over_http,
    "websocket-starlette": lambda _: websocket_of_starlette,
    "websocket-websockets": lambda _: websocket_of_websockets,
}


@pytest.mark.parametrize("rule", STORE_RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("store", STORES)
def test_every_store_keeps_every_rule(store: str, rule: Any, place: World) -> None:
    run_rule(rule, STORES[store](place))


@pytest.mark.parametrize("rule", STREAM_RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("stream", STREAMS)
def test_every_stream_keeps_every_rule(stream: str, rule: Any, place: World) -> None:
    run_rule(rule, STREAMS[stream](place))


def test_what_the_rules_store_they_delete(place: World) -> None:
    for name in ("redis", "postgres"):
        run_rule(sessions_do_not_mix, STORES[name](place))

    left = "SELECT session FROM turnline.states WHERE session LIKE 'turnline-testing-%'"
    assert list(place.truth.redis.scan_iter("tl:{turnline-testing-*:state")) == []
    assert place.truth.rows(left) == []

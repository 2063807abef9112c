"""Every store and every stream that is shipped keeps the rules, with real servers behind it."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import redis
import redis.asyncio as aioredis
from harness.readers import (
    redis_with_consumer,
    sse_over_http,
    websocket_of_starlette,
    websocket_of_websockets,
)
from harness.world import World
from sqlalchemy.ext.asyncio import AsyncEngine

from turnline_schemas.names import state_key
from turnline_workers import InteractionState
from turnline_workers.store.engine import open_async_engine
from turnline_workers.stores import (
    PostgresStore,
    RedisStore,
    StaleStateError,
    from_json,
    to_json,
)
from turnline_workers.streams import FanOut, IteratorStream, RedisStream
from turnline_workers.testing import STORE_RULES, STREAM_RULES, StreamUnderTest, check_store
from turnline_workers.testing.checking import run_store_rule, run_stream_rule
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
    run_store_rule(rule, STORES[store](place))


@pytest.mark.parametrize("rule", STREAM_RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("stream", STREAMS)
def test_every_stream_keeps_every_rule(stream: str, rule: Any, place: World) -> None:
    run_stream_rule(rule, STREAMS[stream](place))


def test_what_the_rules_store_they_delete(place: World) -> None:
    for name in ("redis", "postgres"):
        run_store_rule(sessions_do_not_mix, STORES[name](place))

    left = "SELECT session FROM turnline.states WHERE session LIKE '%turnline-testing-%'"
    assert list(place.truth.redis.scan_iter("tl:{*turnline-testing-*:state")) == []
    assert place.truth.rows(left) == []


class ComparesInPython(RedisStore):
    """Reads, compares and writes: three calls where one is needed."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._redis = redis.Redis.from_url(url)

    async def load(self, session: str, context: Mapping[str, Any]) -> InteractionState | None:
        """Return what is there."""
        revision, text = self._redis.hmget(state_key(session), "revision", "state")
        return None if text is None else from_json(text, revision=int(revision))

    async def save(self, session: str, state: InteractionState, context: Mapping[str, Any]) -> None:
        """Compare, then write."""
        found = await self.load(session, context)
        if (found.revision if found else 0) != state.revision:
            raise StaleStateError(session, state.revision)
        stored = {"revision": state.revision + 1, "state": to_json(state)}
        self._redis.hset(state_key(session), mapping=stored)

    async def aclose(self) -> None:
        """Close both connections."""
        self._redis.close()
        await super().aclose()


def test_a_store_that_compares_in_python_is_found_out(place: World) -> None:
    with pytest.raises(AssertionError, match="breaks 1 of") as found:
        check_store(lambda: ComparesInPython(place.redis_url))

    assert "- no save of several processes is lost: saves that were taken" in str(found.value)

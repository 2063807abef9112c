"""Connections to Redis, and which of its errors pass by themselves."""

import redis
import redis.asyncio as aioredis
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import (
    BusyLoadingError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from turnline_schemas.errors import RedisUnavailableError, UnsafeRedisError

SAFE_POLICY = "noeviction"

LOST = (RedisConnectionError, RedisTimeoutError, BusyLoadingError)
"""A server that is away or starting."""

PASSING = (*LOST, OutOfMemoryError, ReadOnlyError)
"""Errors that pass by themselves or by an operator: the same call may succeed later."""

_SOCKET = {
    "socket_timeout": 10,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 15,
    "decode_responses": False,
}


def open_async(url: str, *, connections: int) -> "aioredis.Redis":
    """Return a client for the loop that waits for a free connection instead of failing.

    It tries a call again when its connection broke, which is safe: every script of ours may
    run twice.
    """
    pool = aioredis.BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=30,
        retry=aioredis_retry(),
        retry_on_error=list(LOST),
        **_SOCKET,
    )
    return aioredis.Redis(connection_pool=pool)


def open_sync(url: str) -> "redis.Redis":
    """Return a client for a thread."""
    return redis.Redis.from_url(
        url, retry=Retry(ExponentialWithJitterBackoff(cap=0.5), 2), **_SOCKET
    )


def aioredis_retry() -> "aioredis.retry.Retry":
    """Two more tries, within about a second."""
    return aioredis.retry.Retry(ExponentialWithJitterBackoff(cap=0.5), 2)


def check_policy(client: "redis.Redis", url: str) -> None:
    """Return if Redis will not throw turns away when its memory is full.

    Raises:
        UnsafeRedisError: it may; the text names the setting to change.
        RedisUnavailableError: it does not answer.
    """
    try:
        policy = client.info("memory").get("maxmemory_policy", SAFE_POLICY)
    except RedisError as error:
        answers = isinstance(error, ResponseError)
        raise RedisUnavailableError(url, error, answers=answers) from error
    if policy != SAFE_POLICY:
        raise UnsafeRedisError(url, policy)

"""Servers that somebody else runs, used instead of our own."""

from contextlib import closing
from dataclasses import dataclass
from typing import Final

import psycopg
from kombu.connection import Connection
from kombu.exceptions import KombuError
from redis import Redis
from redis.exceptions import RedisError

from turnline_schemas.errors import (
    BrokerUnavailableError,
    PostgresUnavailableError,
    RedisUnavailableError,
)

_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class ExternalServers:
    """URLs of servers that run already; None starts one of our own.

    Without ``broker_url`` the broker is Redis, whoever runs it.
    """

    database_url: str | None = None
    redis_url: str | None = None
    broker_url: str | None = None

    def check(self) -> None:
        """Return if all of them answer.

        Raises:
            ServerUnavailableError: one does not; its text names the server and the setting.
        """
        if self.database_url:
            _check_postgres(self.database_url)
        if self.redis_url:
            _check_redis(self.redis_url)
        if self.broker_url and self.broker_url != self.redis_url:
            _check_broker(self.broker_url)


def _check_postgres(url: str) -> None:
    try:
        with closing(psycopg.connect(url, connect_timeout=_SECONDS)):
            return
    except psycopg.Error as error:
        raise PostgresUnavailableError(url, _first_line(error)) from error


def _check_redis(url: str) -> None:
    try:
        with Redis.from_url(url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS) as redis:
            redis.ping()
    except (RedisError, OSError, ValueError) as error:
        raise RedisUnavailableError(url, _first_line(error)) from error


def _check_broker(url: str) -> None:
    # What kombu raises depends on the transport, and it names its errors only once it has one.
    try:
        connection = Connection(url, connect_timeout=_SECONDS)
        known = (*connection.connection_errors, KombuError, OSError, ValueError)
    except (KeyError, ImportError, ValueError) as error:
        raise BrokerUnavailableError(url, f"unusable url: {_first_line(error)}") from error
    try:
        with connection:
            connection.ensure_connection(max_retries=1, timeout=_SECONDS)
    except known as error:
        raise BrokerUnavailableError(url, _first_line(error)) from error


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0]

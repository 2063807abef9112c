"""I/O with Redis for one follower, and nothing else: what fails, raises.

A link has two connections: one that is subscribed, and one for reads.
Neither connects again by itself, because redis-py's own ``PubSub`` may do so between a message
and the next, and what is published then is lost without a sign.
Reads go through MULTI, so that entries are never taken for another epoch's.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from redis import ConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.exceptions import ClusterDownError, ConnectionError, TimeoutError  # noqa: A004
from redis.retry import Retry

from turnline_consumer.page import Page
from turnline_schemas.errors import ConfigurationError, hide_password
from turnline_schemas.names import events_channel, log_key, meta_key

SOCKET_TIMEOUT: Final = 5.0
"""Seconds after which a server that says nothing counts as lost; the URL may say otherwise."""

PAGE_SIZE: Final = 256
"""Entries per read of the log."""

LIFE: Final = b""
"""What a subscription says that is no frame, such as the answer to a ping."""

META_FIELDS: Final = ("epoch", "base", "top")

READ_URL: Final[Callable[[str], dict[str, Any]]] = parse_url

TRANSIENT: Final = (ConnectionError, TimeoutError, ClusterDownError, OSError)
"""Failures that may pass by themselves.  Every other ``RedisError`` will not."""


class Link:
    """Blocking I/O for one follower of one session."""

    def __init__(self, url: str, session: str) -> None:
        self._url = url
        self._session = session
        self._pool: ConnectionPool | None = None
        self._subscription: Any = None

    def open(self) -> None:
        """Connect, subscribe, and wait for the confirmation."""
        self.drop()
        self._pool = ConnectionPool(**options(READ_URL(self._url)))
        connection: Any = self._pool.get_connection()
        connection.send_command("SUBSCRIBE", events_channel(self._session))
        connection.read_response()
        self._subscription = connection

    def drop(self) -> None:
        """Close what is open."""
        pool, self._pool, self._subscription = self._pool, None, None
        if pool is not None:
            pool.disconnect()

    def read(self, after: int) -> Page:
        """Read the meta, and the log after seq ``after``, as of one moment."""
        if self._pool is None:
            raise not_open()
        with Redis(connection_pool=self._pool).pipeline(transaction=True) as pipe:
            pipe.hmget(meta_key(self._session), *META_FIELDS)
            pipe.xrange(log_key(self._session), min=f"({after}-0", count=PAGE_SIZE)
            meta, rows = pipe.execute()
        return page_of(after, meta, rows)

    def ping(self) -> None:
        """Ask the subscription for a sign of life."""
        self._subscribed().send_command("PING", check_health=False)

    def receive(self, timeout: float) -> bytes | None:
        """Return the next frame, ``LIFE``, or None if nothing came within ``timeout`` seconds."""
        connection = self._subscribed()
        if not connection.can_read(timeout=timeout):
            return None
        return heard(connection.read_response())

    def _subscribed(self) -> Any:
        if self._subscription is None:
            raise not_open()
        return self._subscription


def options(from_url: Mapping[str, Any]) -> dict[str, Any]:
    """Return a pool's options: ours where the URL says nothing, and always RESP2 and bytes."""
    ours = {"socket_timeout": SOCKET_TIMEOUT, "socket_connect_timeout": SOCKET_TIMEOUT}
    needed = {
        "protocol": 2,
        "decode_responses": False,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
        "max_connections": None,
    }
    return {**ours, **from_url, **needed}


def check_url(url: str) -> None:
    """Refuse what cannot be a Redis URL.

    Raises:
        ConfigurationError: with the reason.
    """
    try:
        READ_URL(url)
    except ValueError as error:
        raise ConfigurationError(f"{hide_password(url)!r} is no Redis URL: {error}") from error


def page_of(after: int, meta: Sequence[Any], rows: Sequence[Any]) -> Page:
    """Return what HMGET of ``META_FIELDS`` and XRANGE after ``after`` answered."""
    epoch, base, top = meta
    return Page(
        after=after,
        epoch=epoch.decode() if epoch else None,
        base=int(base or 0),
        top=int(top or 0),
        entries=tuple((int(id_.partition(b"-")[0]), fields.get(b"d", b"")) for id_, fields in rows),
    )


def heard(reply: Any) -> bytes:
    """Return the frame that a subscribed connection's reply holds, or ``LIFE``."""
    return bytes(reply[2]) if reply[0] == b"message" else LIFE


def not_open() -> ConnectionError:
    """Return the error of a link that is used while it is not open."""
    return ConnectionError("not connected")

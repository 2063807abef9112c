"""Whether a URL can name a server at all: wrong ones are refused before anything connects."""

from collections.abc import Callable
from typing import Any

from kombu.connection import Connection
from redis.connection import parse_url

from turnline_schemas.errors import ConfigurationError, hide_password

_read: Callable[[str], dict[str, Any]] = parse_url


def check_redis_url(url: str) -> str:
    """Return ``url`` if it can be a Redis URL.

    Raises:
        ConfigurationError: with the reason.
    """
    try:
        _read(url)
    except ValueError as error:
        raise ConfigurationError(f"{hide_password(url)!r} is no Redis URL: {error}") from error
    return url


def check_broker_url(url: str) -> str:
    """Return ``url`` if kombu knows how to reach what it names.

    Raises:
        ConfigurationError: with the reason.
    """
    try:
        Connection(url).get_transport_cls()
    except (KeyError, ValueError, ImportError) as error:
        reason = error.args[0] if error.args else error
        problem = f"{hide_password(url)!r} is no broker URL: {reason}"
        raise ConfigurationError(problem) from error
    return url

"""Whatever stands in the broker's queue, the worker lives and goes on.

Celery and kombu expect every message to have been written by them: one that was not ends the
consumer, and is put back to end the next one.  A bell is only a hint, so a bad one is dropped.
"""

from collections.abc import Callable
from typing import Any

import structlog
from celery.exceptions import InvalidTaskError
from celery.worker.strategy import default
from kombu.exceptions import ContentDisallowed, DecodeError
from kombu.transport import redis
from kombu.transport.virtual import Empty

STRATEGY = f"{__name__}:strategy"
TRANSPORT = f"{__name__}:Transport"

logger = structlog.get_logger(__name__)


def strategy(task: Any, app: Any, consumer: Any, **options: Any) -> Callable[..., Any]:
    """Return Celery's handler of messages for ``task``, made tolerant of their shape."""
    handle = default(task, app, consumer, **options)

    def tolerant(message: Any, *args: Any, **more: Any) -> Any:
        try:
            return handle(message, *args, **more)
        except (InvalidTaskError, ContentDisallowed, DecodeError):
            raise
        except Exception as error:  # noqa: BLE001 - any shape may come, and none may end the worker
            # Without its content, which may be what people said.
            logger.warning("bell.malformed", task=task.name, error=type(error).__name__)
            message.reject_log_error(logger, consumer.connection_errors)
            return None

    return tolerant


class Channel(redis.Channel):
    """A channel that drops what is no message at all."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            logger.warning("bell.unreadable", error=type(error).__name__)
            raise Empty from error


class Transport(redis.Transport):
    """kombu's Redis transport with that channel."""

    Channel = Channel

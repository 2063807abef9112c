"""Bells: Celery messages that say "this session may have something to do".

A bell carries ids and never text, and losing or repeating one is harmless; so it is sent once,
quickly, and a broker that is away is left alone for a moment instead of slowing every enqueue.

The message follows Celery's task protocol 2
(https://docs.celeryq.dev/en/stable/internals/protocol.html), so that a producer needs kombu only.
"""

import os
import socket
import threading
import time
import uuid
from typing import Any, Final

from kombu.connection import Connection
from kombu.entity import Queue
from kombu.exceptions import KombuError
from kombu.pools import ProducerPool

from turnline_producer.urls import check_broker_url
from turnline_schemas.errors import BrokerUnavailableError
from turnline_schemas.names import PLAY_TASK, QUEUE

REST: Final = 2.0
"""Seconds without a try after the broker failed."""

_CONNECTIONS: Final = 10
"""Most bells that are sent at the same time."""

_ORIGIN: Final = f"{os.getpid()}@{socket.gethostname()}"


def is_redis(broker_url: str) -> bool:
    """Say whether the broker is Redis."""
    return broker_url.split(":", 1)[0] in {"redis", "rediss"}


def bell_queue(broker_url: str) -> Queue:
    """Return the queue that bells travel through, on the default exchange."""
    arguments = None if is_redis(broker_url) else {"x-queue-type": "quorum"}
    return Queue(QUEUE, routing_key=QUEUE, durable=True, queue_arguments=arguments)


def transport_options(broker_url: str) -> dict[str, Any]:
    """Return kombu's options for a publisher: it must never hang."""
    if not is_redis(broker_url):
        return {
            "confirm_publish": True,
            "connect_timeout": 2,
            "read_timeout": 5,
            "write_timeout": 5,
        }
    return {
        "socket_connect_timeout": 2,
        "socket_timeout": 5,
        "socket_keepalive": True,
        "max_connections": 64,
        "client_name": "turnline-producer",
    }


class Bells:
    """Rings sessions.  Safe to share between threads."""

    def __init__(self, broker_url: str) -> None:
        self._url = broker_url
        self._queue = bell_queue(broker_url)
        self._connection = Connection(
            check_broker_url(broker_url),
            transport_options=transport_options(broker_url),
            connect_timeout=2,
        )
        # Not kombu's pools of the process: closing ours would close those of others, too.
        self._connections = self._connection.Pool(_CONNECTIONS)
        self._producers = ProducerPool(self._connections, limit=_CONNECTIONS)
        self._errors = (
            *self._connection.connection_errors,
            *self._connection.channel_errors,
            KombuError,
            OSError,
        )
        self._lock = threading.Lock()
        self._resting_until = 0.0

    def ring(self, session: str, turn: str, *, hops: int = 0) -> None:
        """Send one bell.

        Args:
            turn: the turn to play, as far as the caller knows; shown in Flower.
            hops: how often this bell was passed on by workers without a free slot.

        Raises:
            BrokerUnavailableError: it was not sent.  The workers' sweep rings in its place.
        """
        if time.monotonic() < self._resting_until:
            raise BrokerUnavailableError(self._url, "it failed a moment ago")
        try:
            # Not kombu's ensure(): its waits and retries would slow the caller down.
            with self._producers.acquire(block=True, timeout=5) as producer:
                body, headers, properties = _message(session, turn, hops)
                producer.publish(
                    body,
                    exchange="",
                    routing_key=QUEUE,
                    headers=headers,
                    declare=[self._queue],
                    serializer="json",
                    retry=True,
                    retry_policy={"max_retries": 1, "interval_start": 0, "interval_max": 0.1},
                    **properties,
                )
        except self._errors as error:
            with self._lock:
                self._resting_until = time.monotonic() + REST
            raise BrokerUnavailableError(self._url, error) from error

    def waiting(self) -> int:
        """Return how many bells stand in the broker's queue.

        Raises:
            BrokerUnavailableError: it does not answer.
        """
        try:
            with self._producers.acquire(block=True, timeout=5) as producer:
                queue = self._queue(producer.channel)
                # Declared and not only looked at: on Redis an empty queue does not exist.
                return _waiting_in(queue, producer.channel)
        except self._errors as error:
            raise BrokerUnavailableError(self._url, error) from error

    def close(self) -> None:
        """Close all connections."""
        self._producers.force_close_all()
        self._connections.force_close_all()
        self._connection.release()


def _waiting_in(queue: Any, channel: Any) -> int:
    declared = channel.queue_declare(
        queue=queue.name, durable=queue.durable, auto_delete=False, arguments=queue.queue_arguments
    )
    return int(declared.message_count)


def _message(session: str, turn: str, hops: int) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    task_id = str(uuid.uuid4())
    kwargs: dict[str, Any] = {"session": session, "turn": turn}
    if hops:
        kwargs["hops"] = hops
    embed = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    headers = {
        "lang": "py",
        "task": PLAY_TASK,
        "id": task_id,
        "root_id": task_id,
        "parent_id": None,
        "group": None,
        "retries": 0,
        "eta": None,
        "expires": None,
        "timelimit": [None, None],
        "ignore_result": True,
        "argsrepr": "()",
        "kwargsrepr": repr(kwargs),
        "origin": _ORIGIN,
    }
    return ([], kwargs, embed), headers, {"correlation_id": task_id}

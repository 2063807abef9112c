"""Enqueue turns from threads and plain scripts."""

import time
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import redis
from pydantic import JsonValue
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from turnline_producer.bells import Bells
from turnline_producer.command import (
    ACCEPTED,
    ENQUEUE_LUA,
    Answer,
    Command,
    Limits,
    MessageLike,
    cancel_command,
    raise_if_refused,
    read_answer,
    receipt,
    resume_command,
    state_of,
    turn_command,
)
from turnline_producer.urls import check_redis_url
from turnline_schemas.errors import (
    BrokerUnavailableError,
    ConfirmTimeoutError,
    RedisUnavailableError,
    UnsafeRedisError,
)
from turnline_schemas.receipt import Receipt

SAFE_POLICY = "noeviction"
SOCKET: dict[str, Any] = {
    "socket_timeout": 5,
    "socket_connect_timeout": 3,
    "socket_keepalive": True,
    "health_check_interval": 15,
}
CONFIRM_EVERY = (0.005, 0.1)
"""Seconds between two looks at a turn's state: the first, and the longest."""


class Producer:
    """Enqueues turns.  Safe to share between threads; keep one for the life of the process.

    Calls may be repeated: the same ``turn`` id is played once however often it is enqueued.
    """

    def __init__(
        self,
        redis_url: str = "redis://127.0.0.1:6379/0",
        *,
        broker_url: str | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Connect lazily; nothing is sent before the first call.

        Args:
            broker_url: the Celery broker that carries bells; the same Redis unless given.

        Raises:
            ConfigurationError: a URL cannot name such a server.
        """
        self._url = check_redis_url(redis_url)
        self._limits = limits or Limits()
        self._bells = Bells(broker_url or redis_url)
        # Trying again is safe, because enqueueing a turn twice changes nothing.
        retry = Retry(ExponentialWithJitterBackoff(cap=0.3), 2)
        self._redis = redis.Redis.from_url(redis_url, retry=retry, **SOCKET)
        self._enqueue = self._redis.register_script(ENQUEUE_LUA)
        self._checked = False

    def enqueue(
        self,
        session: str,
        message: MessageLike,
        *,
        turn: str | None = None,
        user: str | None = None,
        assistant: str = "default",
        context: Mapping[str, JsonValue] | None = None,
        priority: int = 0,
        not_before: datetime | None = None,
        confirm: bool = False,
        timeout: float = 10.0,
    ) -> Receipt:
        """Put one user message into its session; its position is final when this returns.

        Args:
            turn: id and idempotency key; repeat it when you repeat the call.
            confirm: return only once the turn is committed in Postgres.
            timeout: seconds to wait for that.

        Raises:
            InvalidMessageError, PayloadTooLargeError: change the call.
            TurnConflictError: the id is in use with another payload.
            TurnRefusedError: intake refused the turn.
            InboxFullError, RedisUnavailableError, ConfirmTimeoutError: repeat later, same id.
            UnsafeRedisError: the server may throw turns away; the text says what to set.
        """
        command = turn_command(
            session,
            message,
            turn=turn,
            user=user,
            assistant=assistant,
            context=context,
            priority=priority,
            not_before=not_before,
            limits=self._limits,
        )
        return self._send(command, confirm=confirm, timeout=timeout)

    def cancel(self, session: str, turn: str, *, reason: str = "cancelled") -> Receipt:
        """Ask that ``turn`` end as soon as it can.  A turn that has ended stays as it is.

        Raises:
            As ``enqueue``.
        """
        command = cancel_command(session, turn, reason=reason, limits=self._limits)
        return self._send(command, confirm=False, timeout=0)

    def resume(
        self,
        session: str,
        turn: str,
        pause: str,
        value: JsonValue = None,
        *,
        confirm: bool = False,
        timeout: float = 10.0,
    ) -> Receipt:
        """Answer what ``turn`` is paused for; it goes on from there.

        Repeating a call changes nothing.  With ``confirm`` a wrong answer is told.

        Args:
            pause: token of the question, from ``turn.paused``.
            value: the answer, as the question's ``answer_schema`` wants it.

        Raises:
            TurnRefusedError: ``invalid_answer`` or ``not_paused``; only with ``confirm``, or
                if intake has told before.
            Others as ``enqueue``.
        """
        command = resume_command(session, turn, pause, value, limits=self._limits)
        return self._send(command, confirm=confirm, timeout=timeout)

    def _send(self, command: Command, *, confirm: bool, timeout: float) -> Receipt:
        try:
            self._check_policy()
            answer = read_answer(command, self._enqueue(keys=command.keys, args=command.args))
        except RedisError as error:
            answers = isinstance(error, ResponseError)
            raise RedisUnavailableError(self._url, error, answers=answers) from error
        ring_error = self._ring(command) if answer.ring else None
        confirmed = confirm and self._confirmed(command, answer, timeout)
        return receipt(command, answer, ring_error=ring_error, confirmed=confirmed)

    def _ring(self, command: Command) -> str | None:
        try:
            self._bells.ring(command.message.session, command.message.turn)
        except BrokerUnavailableError as error:
            return str(error)
        return None

    def _confirmed(self, command: Command, answer: Answer, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        pause, state = CONFIRM_EVERY[0], answer.state
        while state != ACCEPTED:
            if time.monotonic() > deadline:
                raise ConfirmTimeoutError(command.message.session, command.message.turn, timeout)
            time.sleep(pause)
            pause = min(2 * pause, CONFIRM_EVERY[1])
            try:
                state = state_of(self._redis.get(command.state_key)) or ""
            except (RedisConnectionError, RedisTimeoutError):
                continue  # the deadline bounds the wait
            raise_if_refused(command.message, state)
        return True

    def _check_policy(self) -> None:
        if self._checked:
            return
        policy = self._redis.info("memory").get("maxmemory_policy", SAFE_POLICY)
        if policy != SAFE_POLICY:
            raise UnsafeRedisError(self._url, policy)
        self._checked = True

    def close(self) -> None:
        """Close all connections."""
        self._bells.close()
        self._redis.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

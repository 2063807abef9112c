"""Enqueue turns from an event loop."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Self

import redis.asyncio as aioredis
from pydantic import JsonValue
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

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
from turnline_producer.producer import CONFIRM_EVERY, SAFE_POLICY, SOCKET
from turnline_producer.urls import check_redis_url
from turnline_schemas.errors import (
    BrokerUnavailableError,
    ConfirmTimeoutError,
    RedisUnavailableError,
    UnsafeRedisError,
)
from turnline_schemas.receipt import Receipt


class AsyncProducer:
    """``Producer`` for an event loop: the same calls, the same errors.

    It belongs to the loop of its first call; another loop needs another one.
    """

    def __init__(
        self,
        redis_url: str = "redis://127.0.0.1:6379/0",
        *,
        broker_url: str | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Connect lazily; nothing is sent before the first call."""
        self._url = check_redis_url(redis_url)
        self._limits = limits or Limits()
        self._bells = Bells(broker_url or redis_url)
        pool = aioredis.BlockingConnectionPool.from_url(
            redis_url,
            max_connections=32,
            timeout=10,
            retry=Retry(ExponentialWithJitterBackoff(cap=0.3), 2),
            **SOCKET,
        )
        self._redis = aioredis.Redis(connection_pool=pool)
        self._enqueue = self._redis.register_script(ENQUEUE_LUA)
        self._checked = False

    async def enqueue(
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
        timeout: float = 10.0,  # noqa: ASYNC109 - the same signature as Producer's
    ) -> Receipt:
        """Put one user message into its session; see ``Producer.enqueue``."""
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
        return await self._send(command, confirm=confirm, seconds=timeout)

    async def cancel(self, session: str, turn: str, *, reason: str = "cancelled") -> Receipt:
        """Ask that ``turn`` end as soon as it can; see ``Producer.cancel``."""
        command = cancel_command(session, turn, reason=reason, limits=self._limits)
        return await self._send(command, confirm=False, seconds=0)

    async def resume(
        self,
        session: str,
        turn: str,
        pause: str,
        value: JsonValue = None,
        *,
        confirm: bool = False,
        timeout: float = 10.0,  # noqa: ASYNC109 - the same signature as Producer's
    ) -> Receipt:
        """Answer what ``turn`` is paused for; see ``Producer.resume``."""
        command = resume_command(session, turn, pause, value, limits=self._limits)
        return await self._send(command, confirm=confirm, seconds=timeout)

    async def _send(self, command: Command, *, confirm: bool, seconds: float) -> Receipt:
        try:
            await self._check_policy()
            answer = read_answer(command, await self._enqueue(keys=command.keys, args=command.args))
        except RedisError as error:
            answers = isinstance(error, ResponseError)
            raise RedisUnavailableError(self._url, error, answers=answers) from error
        # kombu blocks, so the bell is rung from a thread.
        ring_error = await asyncio.to_thread(self._ring, command) if answer.ring else None
        confirmed = confirm and await self._confirmed(command, answer, seconds)
        return receipt(command, answer, ring_error=ring_error, confirmed=confirmed)

    def _ring(self, command: Command) -> str | None:
        try:
            self._bells.ring(command.message.session, command.message.turn)
        except BrokerUnavailableError as error:
            return str(error)
        return None

    async def _confirmed(self, command: Command, answer: Answer, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._until_accepted(command, answer)
        except TimeoutError as error:
            raise ConfirmTimeoutError(
                command.message.session, command.message.turn, seconds
            ) from error
        return True

    async def _until_accepted(self, command: Command, answer: Answer) -> None:
        pause, state = CONFIRM_EVERY[0], answer.state
        while state != ACCEPTED:
            await asyncio.sleep(pause)
            pause = min(2 * pause, CONFIRM_EVERY[1])
            try:
                state = state_of(await self._redis.get(command.state_key)) or ""
            except (RedisConnectionError, RedisTimeoutError):
                continue  # the caller's deadline bounds the wait
            raise_if_refused(command.message, state)

    async def _check_policy(self) -> None:
        if self._checked:
            return
        policy = (await self._redis.info("memory")).get("maxmemory_policy", SAFE_POLICY)
        if policy != SAFE_POLICY:
            raise UnsafeRedisError(self._url, policy)
        self._checked = True

    async def aclose(self) -> None:
        """Close all connections."""
        await asyncio.to_thread(self._bells.close)
        await self._redis.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

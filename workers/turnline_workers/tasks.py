"""Celery tasks.  Decode and delegate; no rule lives here."""

import json
import time
from collections.abc import Callable
from typing import Any

import structlog
from celery import Celery
from celery.exceptions import InvalidTaskError
from celery.worker import state
from celery.worker.request import Request
from kombu.exceptions import KombuError
from pydantic import TypeAdapter
from redis.exceptions import RedisError

from turnline_schemas.errors import (
    ConflictError,
    InvalidInputError,
    InvalidMessageError,
    TryLaterError,
    UnsafeRedisError,
)
from turnline_schemas.ids import SessionId
from turnline_schemas.message import validated
from turnline_schemas.names import ENQUEUE_TASK, PLAY_TASK, QUEUE
from turnline_workers.bootstrap import Worker
from turnline_workers.bus.inbox import DeadLetter
from turnline_workers.flow import Claim
from turnline_workers.odd_bells import STRATEGY
from turnline_workers.pool import task_id
from turnline_workers.runner.backoff import pauses
from turnline_workers.runner.ringer import Bell

HIDDEN = "<hidden>"

_SESSION = TypeAdapter(SessionId)

logger = structlog.get_logger(__name__)


class CheckedRequest(Request):  # type: ignore[misc]
    """A task from anybody: a message out of shape is refused, where Celery's worker would end."""

    def __init__(self, message: Any, *args: Any, **kwargs: Any) -> None:
        try:
            super().__init__(message, *args, **kwargs)
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidTaskError(f"its message is out of shape: {type(error).__name__}") from None


class HiddenRequest(CheckedRequest):
    """A task whose arguments hold what people said: logs, events and Flower do not show them."""

    def __init__(self, message: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(message, *args, **kwargs)
        self._argsrepr = self._kwargsrepr = HIDDEN
        self._request_dict["argsrepr"] = self._request_dict["kwargsrepr"] = HIDDEN

    def info(self, safe: bool = False) -> dict[str, Any]:  # noqa: ARG002 (Celery's signature)
        """Return what ``inspect active`` and Flower's page of a worker show."""
        shown: dict[str, Any] = super().info(safe=True)
        return shown


class BellRequest(CheckedRequest):
    """A bell, told to be started once it is known which turn it came to play.

    That may be an earlier turn of the session than the one that rang.  Celery counts on one
    task-started event per task, so it is held back here instead of being sent again.
    """

    _kwargs: dict[str, Any]
    _untold = False

    def send_event(self, type: str, **fields: Any) -> None:  # noqa: A002 (Celery's name)
        """Send an event about the bell; ``task-started`` waits for ``plays`` or for the end."""
        if type == "task-started":
            self._untold = True
            return
        self._tell_started()
        super().send_event(type, **fields)

    def plays(self, claim: Claim) -> None:
        """Show ``claim``'s turn in events, in ``inspect active`` and so in Flower."""
        self._kwargs = {**self._kwargs, "turn": claim.turn.turn}
        self._kwargsrepr = repr(self._kwargs)
        self._tell_started(kwargs=self._kwargsrepr)

    def _tell_started(self, **fields: Any) -> None:
        if self._untold:
            self._untold = False
            super().send_event("task-started", **fields)


def register(app: Celery, worker: Callable[[], Worker]) -> None:
    """Register the tasks on ``app``.

    Args:
        worker: returns this process's worker; called once per task, never at import.
    """

    async def answer(session: str, turn: str = "", hops: int = 0) -> None:
        try:
            validated(_SESSION, session)
        except InvalidMessageError as error:
            logger.warning("bell.malformed", error=str(error))
            return
        await worker().answer(Bell(session, str(turn), int(hops)), _show)

    @app.task(name=PLAY_TASK, ignore_result=True, Strategy=STRATEGY)  # type: ignore[untyped-decorator]
    def play(session: str, turn: str = "", hops: int = 0) -> None:
        """The bell.  Pools without a loop wait in a thread while the turn plays."""
        task_id.set(play.request.id)
        worker().call(answer(session, turn, hops))

    # TurnPool awaits this one on the loop instead.
    play.coroutine = answer
    play.Request = f"{__name__}:{BellRequest.__name__}"

    @app.task(name=ENQUEUE_TASK, ignore_result=True, bind=True, Strategy=STRATEGY)  # type: ignore[untyped-decorator]
    def enqueue(
        self: Any, session: str = "", message: Any = None, turn: str | None = None, **more: Any
    ) -> None:
        """Enqueue a turn for a caller that has nothing but a Celery client.

        Without ``turn`` the task's id becomes the turn's, so that a redelivery plays nothing
        twice.  What cannot be accepted goes to the dead letters with its reason.
        """
        turn = turn or self.request.id
        kwargs = {"session": session, "message": message, "turn": turn, **more}
        _enqueue(worker(), kwargs, lambda: _put_back(self.app, self.request.id, kwargs))

    enqueue.Request = f"{__name__}:{HiddenRequest.__name__}"


def _enqueue(worker: Worker, kwargs: dict[str, Any], put_back: Callable[[], None]) -> None:
    """Enqueue what a message asks for, bury it, or put it back into the broker's queue.

    A message that came out of the queue is in this process only, so it is not let go before one
    of these has worked.
    """
    about = {"session": str(kwargs["session"]), "turn": str(kwargs["turn"])}
    for pause in pauses(0.5, 5.0):
        try:
            worker.producer.enqueue(**kwargs)
            return
        except (InvalidInputError, ConflictError, TypeError) as error:
            code = "invalid_fields" if isinstance(error, TypeError) else error.code
            raw = json.dumps(kwargs, default=repr).encode()
            worker.bury(about["session"], DeadLetter("", raw, code, str(error)))
            return
        except (TryLaterError, UnsafeRedisError) as error:
            logger.warning("enqueue.delayed", **about, error=str(error))
        time.sleep(pause)
        try:
            put_back()
            return
        except (OSError, KombuError, RedisError) as error:
            logger.warning("enqueue.not_put_back", **about, error=str(error))
        if worker.runner.draining:
            logger.error("enqueue.lost", **about)
            return


def _put_back(app: Celery, task: str, kwargs: dict[str, Any]) -> None:
    app.send_task(
        ENQUEUE_TASK,
        kwargs=kwargs,
        task_id=task,
        queue=QUEUE,
        argsrepr=HIDDEN,
        kwargsrepr=HIDDEN,
        retry=False,
    )


def _show(claim: Claim) -> None:
    """Make Flower show the turn that is played."""
    request = state.requests.get(task_id.get(""))
    if isinstance(request, BellRequest):
        request.plays(claim)

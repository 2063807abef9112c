"""Celery tasks.  Decode and delegate; no rule lives here."""

from collections.abc import Callable, Mapping
from typing import Any

import structlog
from celery import Celery, signals
from celery.worker.request import Request
from pydantic import TypeAdapter

from turnline_schemas.errors import InvalidInputError, InvalidMessageError, TryLaterError
from turnline_schemas.ids import SessionId
from turnline_schemas.message import validated
from turnline_schemas.names import ENQUEUE_TASK, PLAY_TASK
from turnline_workers.bootstrap import Worker
from turnline_workers.bus.inbox import DeadLetter
from turnline_workers.flow import Claim
from turnline_workers.runner.ringer import Bell

HIDDEN = "<hidden>"

_SESSION = TypeAdapter(SessionId)

logger = structlog.get_logger(__name__)


class HiddenRequest(Request):  # type: ignore[misc]
    """A task whose arguments hold what people said: logs, events and Flower do not show them."""

    def __init__(self, message: Any, *args: Any, headers: Any = None, **kwargs: Any) -> None:
        super().__init__(message, *args, headers=headers, **kwargs)
        self._argsrepr = self._kwargsrepr = HIDDEN
        self._request_dict["argsrepr"] = self._request_dict["kwargsrepr"] = HIDDEN


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
        await worker().answer(Bell(session, str(turn), int(hops)), _shown(app))

    @app.task(name=PLAY_TASK, ignore_result=True)  # type: ignore[untyped-decorator]
    def play(session: str, turn: str = "", hops: int = 0) -> None:
        """The bell.  Pools without a loop wait in a thread while the turn plays."""
        worker().call(answer(session, turn, hops))

    # TurnPool awaits this one on the loop instead.
    play.coroutine = answer

    @app.task(name=ENQUEUE_TASK, ignore_result=True, bind=True)  # type: ignore[untyped-decorator]
    def enqueue(
        self: Any, session: str, message: Any, turn: str | None = None, **more: Any
    ) -> None:
        """Enqueue a turn for a caller that has nothing but a Celery client.

        Without ``turn`` the task's id becomes the turn's, so that a redelivery plays nothing
        twice.  What cannot be accepted goes to the dead letters with its reason.
        """
        _enqueue(worker(), session, message, turn or self.request.id, more)

    enqueue.Request = f"{__name__}:{HiddenRequest.__name__}"


def _enqueue(
    worker: Worker, session: str, message: Any, turn: str, more: Mapping[str, Any]
) -> None:
    try:
        worker.producer.enqueue(session, message, turn=turn, **more)
    except (InvalidInputError, TypeError) as error:
        code = error.code if isinstance(error, InvalidInputError) else "invalid_fields"
        raw = repr({"message": message, "turn": turn, **more}).encode("utf-8", "replace")
        worker.bury(str(session), DeadLetter("", raw, code, str(error)))
    except TryLaterError as error:
        logger.error("enqueue.failed", session=session, turn=turn, error=str(error))
        raise


def _shown(app: Celery) -> Callable[[Claim], None]:
    """Return what makes Flower show the turn that is played, if the bell named another one."""
    _ = (app, signals)
    return lambda _claim: None

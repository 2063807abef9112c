"""Functions of users: run where they can do no harm, and their failures made into words."""

import asyncio
import contextvars
import inspect
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Any

from turnline_schemas.storable import storable
from turnline_workers.interaction.pause import Pause


async def in_thread(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Return what ``function`` returns, from a thread of its own.

    Its own, so that functions that hang hold up nothing but themselves; and one that nobody has
    to wait for at the end.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def tell(result: Any, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(result)
        elif isinstance(error, StopIteration):
            done.set_exception(RuntimeError("it raised StopIteration"))  # no future takes that
        else:
            done.set_exception(error)

    def work() -> None:
        result, error = None, None
        try:
            result = context.run(function, *args, **kwargs)
        except BaseException as caught:  # noqa: BLE001 - raised where it is waited for
            error = caught
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell, result, error)

    context = contextvars.copy_context()
    Thread(target=work, daemon=True, name="turnline-function").start()
    return await done


async def called(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Return what ``function`` returns: awaited here if it is async, else run in a thread."""
    if is_async(function):
        return await function(*args, **kwargs)
    result = await in_thread(function, *args, **kwargs)
    # A plain wrapper around an async function, such as an ordinary decorator makes.
    return await result if inspect.isawaitable(result) else result


def is_async(function: Callable[..., Any]) -> bool:
    """Say whether calling ``function`` gives something to await, as far as it tells."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - asked for, not called
    )


def was_cancelled() -> bool:
    """Say whether somebody asked this task to end.

    If not, a ``CancelledError`` in it is the doing of the function that raised it, and a failure
    like any other.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def pause_in(error: BaseException) -> Pause | None:
    """Return the pause that a task group wrapped; None if there is none in it."""
    if isinstance(error, Pause):
        return error
    if isinstance(error, BaseExceptionGroup):
        return next((found for each in error.exceptions if (found := pause_in(each))), None)
    return None


def in_words(error: BaseException) -> str:
    """Return an exception as text that can be stored and published."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - a __str__ of somebody else's
        text = "(its text cannot be told)"
    told: str = storable(f"{type(error).__name__}: {text}" if text else type(error).__name__)
    return told

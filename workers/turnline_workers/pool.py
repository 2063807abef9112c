"""A Celery pool that plays coroutine tasks on the worker's event loop.

Celery 5.7 has no asyncio pool.  Its synchronous tracer cannot await, so a task with a
``coroutine`` attribute bypasses it here: decode, await, report.  Plain tasks go through the
tracer in a few threads.  What is lost for coroutine tasks is what Turnline does not use: results,
retries, chains.  The pool's limits are measured in ``docs/architecture.md``.
"""

import asyncio
import contextvars
import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog
from billiard.einfo import ExceptionInfo
from celery import signals
from celery.concurrency.base import BasePool, apply_target
from celery.exceptions import Terminated
from kombu.serialization import loads, prepare_accept_content

from turnline_workers.bootstrap import Worker

PLAIN_THREADS = 8

EVENTS_EVERY = 0.05
"""Seconds that events for Flower are gathered before they are sent together.

Celery sends each at once and waits for the broker's answer, which made a bell cost a fifth more.
"""
EVENTS_KEPT = 10_000
"""Events gathered at most; Celery's 24 would often be sent by the loop, which must not wait."""

logger = structlog.get_logger(__name__)

task_id: contextvars.ContextVar[str] = contextvars.ContextVar("task_id")
"""Celery's id of the coroutine task that runs in this context."""


@dataclass(frozen=True, slots=True)
class Job:
    """One delivered task."""

    task: Any
    id: str
    request: dict[str, Any]
    body: Any
    content_type: str | None
    content_encoding: str | None
    callback: Callable[[Any], None]
    accept_callback: Callable[[int, float], None]


class JobHandle:
    """What Celery keeps of a running task; it holds it weakly."""

    __slots__ = ("__weakref__", "pid")

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def terminate(self, signal: object = None) -> None:
        """Do nothing: Celery calls ``terminate_job`` as well, and that one works."""


class TurnPool(BasePool):  # type: ignore[misc]
    """Plays turns on one event loop: a thousand streaming turns in one process."""

    body_can_be_buffer = True
    signal_safe = False
    task_join_will_block = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pids = itertools.count(1)
        self._accept = prepare_accept_content(self.app.conf.accept_content)
        self._running: dict[int, asyncio.Task[None]] = {}
        self._threads = ThreadPoolExecutor(PLAIN_THREADS, thread_name_prefix="turnline-task")

    @property
    def _worker(self) -> Worker:
        worker = self.app.turnline_worker()
        assert isinstance(worker, Worker)
        return worker

    def on_start(self) -> None:
        """The loop belongs to the worker, which Celery's ``worker_init`` signal has started."""
        signals.worker_ready.connect(_gather_events, weak=False)

    def on_stop(self) -> None:
        """Warm shutdown: return once every task has ended.  The worker's drain bounds the wait."""
        self._worker.call(self._ended())
        self._threads.shutdown(cancel_futures=True)

    def on_terminate(self) -> None:
        """Cold shutdown: give running turns up, so that other workers take them at once."""
        worker = self._worker
        worker.loop.call_soon_threadsafe(worker.runner.hand_over)
        with suppress(TimeoutError):
            worker.run(self._ended()).result(timeout=3)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def grow(self, n: int = 1) -> None:
        """Refuse, in words that Flower shows: slots are counted by the worker, not by Celery."""
        raise NotImplementedError("set TURNLINE_SLOTS and restart the worker")

    shrink = grow

    def terminate_job(self, pid: int, signal: object = None) -> None:  # noqa: ARG002
        """``revoke(terminate=True)``, as Flower sends it: the turn ends as cancelled."""
        task = self._running.get(pid)
        if task is not None:
            worker = self._worker
            worker.loop.call_soon_threadsafe(worker.runner.revoke, task)

    def on_apply(
        self,
        target: Callable[..., Any],
        args: Any = None,
        kwargs: Any = None,
        callback: Any = None,
        accept_callback: Any = None,
        **_: Any,
    ) -> object:
        """Begin one delivered task; called by Celery's consumer."""
        task = self.app.tasks[args[0]]
        if not hasattr(task, "coroutine"):
            return self._threads.submit(
                apply_target, target, args, kwargs, callback, accept_callback
            )
        _, uuid, request, body, content_type, encoding = args
        job = Job(task, uuid, request, body, content_type, encoding, callback, accept_callback)
        pid = next(self._pids)
        self._worker.loop.call_soon_threadsafe(self._begin, pid, job)
        return JobHandle(pid)

    def _begin(self, pid: int, job: Job) -> None:
        task = self._worker.loop.create_task(self._run(pid, job))
        self._running[pid] = task
        task.add_done_callback(lambda _: self._running.pop(pid, None))

    async def _run(self, pid: int, job: Job) -> None:
        began = time.monotonic()
        job.accept_callback(pid, began)
        task_id.set(job.id)
        args: Any = ()
        kwargs: Any = {}
        try:
            args, kwargs = self._arguments(job)
            signals.task_prerun.send(
                sender=job.task, task_id=job.id, task=job.task, args=args, kwargs=kwargs
            )
            await job.task.coroutine(*args, **kwargs)
            result: tuple[int, Any, float] = (0, "None", time.monotonic() - began)
        except asyncio.CancelledError:
            result = (1, _cancelled(), time.monotonic() - began)
        except Exception:  # whatever a task raises must reach Celery, and not the loop
            logger.exception("task.raised", task=job.task.name, id=job.id)
            result = (1, ExceptionInfo(), time.monotonic() - began)
        signals.task_postrun.send(
            sender=job.task, task_id=job.id, task=job.task, args=args, kwargs=kwargs
        )
        try:
            job.callback(result)
        except Exception:  # Celery's bookkeeping failed; the turn itself is done
            logger.exception("task.callback_raised", task=job.task.name, id=job.id)

    def _arguments(self, job: Job) -> tuple[Any, Any]:
        if job.content_type is None:
            args, kwargs, _ = job.body
        else:
            args, kwargs, _ = loads(
                job.body, job.content_type, job.content_encoding, accept=self._accept
            )
        return args, kwargs

    async def _ended(self) -> None:
        while self._running:
            await asyncio.wait(list(self._running.values()))

    def _get_info(self) -> dict[str, Any]:
        info: dict[str, Any] = super()._get_info()
        return info | {"running": len(self._running)}


class EventGatherer:
    """Called by Celery after each event, from any thread; the consumer's hub sends them."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._next = 0.0

    def __call__(self) -> None:
        """See that what is gathered now is sent soon."""
        dispatcher, now = self._consumer.event_dispatcher, time.monotonic()
        if dispatcher is None or now < self._next:
            return
        # Not a flag: a reconnect forgets timers, and then the next event starts another one.
        self._next = now + EVENTS_EVERY
        dispatcher.buffer_limit = EVENTS_KEPT
        self._consumer.hub.call_soon(self._wait)

    def _wait(self) -> None:
        self._consumer.hub.call_later(EVENTS_EVERY, self._send)

    def _send(self) -> None:
        if self._consumer.event_dispatcher is not None:
            self._consumer.event_dispatcher.flush()


def _gather_events(sender: Any, **_: Any) -> None:
    if sender.hub is not None and sender.event_dispatcher is not None:
        sender.on_send_event_buffered = EventGatherer(sender)
        sender.event_dispatcher.on_send_buffered = sender.on_send_event_buffered


def _cancelled() -> ExceptionInfo:
    try:
        raise Terminated("given up")
    except Terminated:
        return ExceptionInfo()

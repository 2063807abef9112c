"""Several streams: one that fails is reported, and neither the others nor the turn suffer."""

import asyncio
from collections.abc import Sequence

import pytest
from harness.listed import Listed

from turnline_schemas.event import Event
from turnline_workers import Assistant, FanOut, Session
from turnline_workers.errors import StreamError
from turnline_workers.inprocess.streams import EventStream
from turnline_workers.interaction.outcome import Completed
from turnline_workers.testing.stream_rules import deltas


class Broken(Listed):
    """A stream that fails."""

    async def emit_many(self, events: Sequence[Event]) -> None:
        """Fail."""
        raise OSError("no space left")


def test_a_stream_that_fails_is_reported_and_the_others_go_on() -> None:
    good, reports = Listed(), []
    fan = FanOut(Broken(), good, report=lambda stream, error: reports.append((stream, error)))

    outcome = Session("demo", assistant=Assistant("builtin"), events=fan).send_sync("Hello!")

    assert isinstance(outcome, Completed)
    assert len(reports) == len(good.events)
    assert isinstance(reports[0][1], OSError)


def test_a_report_that_raises_keeps_no_event_from_the_others() -> None:
    good = Listed()
    session = Session("demo", assistant=Assistant("builtin"), events=FanOut(Broken(), good))

    with pytest.raises(RuntimeWarning, match="Broken lost events: OSError: no space left"):
        session.send_sync("Hello!")

    assert [event.type for event in good.events] == ["turn.started"]


def test_every_failure_is_reported_also_if_a_report_raises() -> None:
    told: list[EventStream] = []
    broken = [Broken(), Broken()]

    def report(stream: EventStream, error: Exception) -> None:
        told.append(stream)
        raise error

    async def run() -> None:
        await FanOut(*broken, report=report).emit(deltas("s", 1)[0])

    with pytest.raises(OSError, match="no space left"):
        asyncio.run(run())

    assert told == broken


class CancelsItself(Listed):
    """A stream that something inside has cancelled."""

    async def emit_many(self, events: Sequence[Event]) -> None:
        """Fail."""
        raise asyncio.CancelledError("the connection's own task")


def test_a_stream_that_cancels_itself_does_not_cancel_the_turn() -> None:
    good, reports = Listed(), list[Exception]()
    fan = FanOut(CancelsItself(), good, report=lambda _, error: reports.append(error))

    outcome = Session("demo", assistant=Assistant("builtin"), events=fan).send_sync("Hello!")

    assert isinstance(outcome, Completed)
    assert len(reports) == len(good.events)
    assert isinstance(reports[0], StreamError)
    assert "the connection's own task" in str(reports[0])


def test_a_task_that_is_cancelled_while_it_emits_ends() -> None:
    class Hangs(Listed):
        async def emit_many(self, events: Sequence[Event]) -> None:
            await asyncio.Event().wait()

    async def run() -> None:
        emitting = asyncio.create_task(FanOut(Hangs()).emit(deltas("s", 1)[0]))
        await asyncio.sleep(0)
        emitting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await emitting

    asyncio.run(run())

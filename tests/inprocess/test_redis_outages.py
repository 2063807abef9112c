"""Redis goes away while a session is played: its log has no hole, whatever comes."""

import asyncio
from collections.abc import Iterator, Sequence

import pytest
from harness.gate import Gate
from harness.listed import Listed
from harness.world import World

from turnline_schemas.errors import RedisUnavailableError
from turnline_schemas.event import Event
from turnline_workers import Assistant, FanOut, MemoryStore, Session
from turnline_workers.streams import EventStream, RedisStream, StreamError, StreamFencedError
from turnline_workers.testing.stream_rules import an_event, deltas


@pytest.fixture
def session(request: pytest.FixtureRequest) -> str:
    """A session id that no other test has."""
    return "s-" + "".join(each if each.isalnum() else "." for each in request.node.name)


@pytest.fixture
def gate(place: World) -> Iterator[Gate]:
    """A way to Redis that can be shut."""
    with Gate(place.redis_url) as made:
        yield made


class Shutting(Listed):
    """Shuts the gate before one event of a turn, and opens it before another."""

    def __init__(self, gate: Gate, first: int, last: int) -> None:
        super().__init__()
        self._gate, self._first, self._last = gate, first, last

    async def emit_many(self, events: Sequence[Event]) -> None:
        """Keep them."""
        for event in events:
            if event.seq == self._first:
                self._gate.shut()
            if event.seq == self._last:
                self._gate.open()
        await super().emit_many(events)


@pytest.mark.parametrize("first", [1, 6], ids=["begin", "middle"])
def test_a_log_has_no_hole_after_an_outage(
    place: World, session: str, gate: Gate, first: int
) -> None:
    own, reports = Shutting(gate, first, first + 4), list[str]()

    def report(stream: EventStream, error: Exception) -> None:
        reports.append(type(error).__name__)

    stream = FanOut(own, RedisStream(gate.url), report=report)
    played = Session(session, assistant=Assistant("builtin"), events=stream)
    played.send_sync("Hello, are you there?")

    log = place.truth.log(session)
    assert [event["seq"] for event in log] == [event.seq for event in own.events]
    assert [event["type"] for event in log] == [event.type for event in own.events]
    assert reports == ["RedisUnavailableError"] * 4


def test_what_the_end_of_a_turn_lost_comes_before_the_next_turn(
    place: World, session: str, gate: Gate
) -> None:
    stream, store = RedisStream(gate.url), MemoryStore()

    def play(events: EventStream) -> None:
        assistant = Assistant("builtin")
        Session(session, assistant=assistant, store=store, events=events).send_sync("Hello!")

    shutting = Shutting(gate, 9, 0)
    play(FanOut(shutting, stream, report=lambda *_: None))
    gate.open()
    play(FanOut(shutting, stream))

    types = [event["type"] for event in place.truth.log(session)]
    assert types == [event.type for event in shutting.events]
    assert types.count("turn.completed") == 2


def test_a_call_that_failed_may_be_made_again(place: World, session: str, gate: Gate) -> None:
    events = deltas(session, 6)

    async def run() -> None:
        async with RedisStream(gate.url) as stream:
            await stream.emit_many(events[:2])
            gate.shut()
            for _ in range(2):
                with pytest.raises(RedisUnavailableError):
                    await stream.emit_many(events[2:4])
            gate.open()
            await stream.emit_many(events[2:4])
            await stream.emit_many(events[4:])

    asyncio.run(run())

    assert [event["data"] for event in place.truth.log(session)] == [
        event.data.model_dump(mode="json") for event in events
    ]


def test_a_log_ends_where_too_much_was_lost_until_the_next_attempt(
    place: World, session: str, gate: Gate
) -> None:
    events = deltas(session, 12)

    async def run() -> None:
        async with RedisStream(gate.url, unsent=5) as stream:
            await stream.emit_many(events[:2])
            gate.shut()
            for event in events[2:10]:
                with pytest.raises(RedisUnavailableError):
                    await stream.emit(event)
            gate.open()
            for event in events[10:]:
                with pytest.raises(StreamError, match="over 5 events"):
                    await stream.emit(event)
            await stream.emit(an_event(session, 13, "turn.noted", {}, turn="t-2"))

    asyncio.run(run())

    log = place.truth.log(session)
    assert [event["data"].get("delta") for event in log] == [*(f"{n} " for n in range(1, 8)), None]
    assert [event["seq"] for event in log] == list(range(1, 9))


def test_what_waits_of_an_attempt_that_was_overtaken_is_dropped(
    place: World, session: str, gate: Gate
) -> None:
    events = deltas(session, 4)

    async def run() -> None:
        async with RedisStream(gate.url) as stream, RedisStream(place.redis_url) as other:
            await stream.emit(events[0])
            gate.shut()
            with pytest.raises(RedisUnavailableError):
                await stream.emit(events[1])
            await other.emit(an_event(session, 2, "turn.noted", {}, turn="t-2"))
            gate.open()
            with pytest.raises(StreamFencedError):
                await stream.emit(events[2])
            await stream.emit(an_event(session, 3, "turn.noted", {}, turn="t-3"))

    asyncio.run(run())

    assert [event["turn"] for event in place.truth.log(session)] == ["t-1", "t-2", "t-3"]

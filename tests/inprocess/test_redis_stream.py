"""Sessions of a process in the real log: followed live, resumed, fenced, and never in the way."""

import asyncio
import threading

import pytest
from harness.listed import Listed
from harness.waiting import until
from harness.world import World

from turnline_consumer import follow
from turnline_schemas.errors import RedisUnavailableError
from turnline_schemas.event import Event
from turnline_workers import Assistant, FanOut, MemoryStore, Session
from turnline_workers.interaction.outcome import Completed
from turnline_workers.streams import RedisStream, StreamFencedError
from turnline_workers.testing.stream_rules import an_event, deltas


@pytest.fixture
def session(request: pytest.FixtureRequest) -> str:
    """A session id that no other test has."""
    return f"s-{request.node.name}"


def emit(place: World, *events: Event) -> None:
    """Emit from a process of its own, as far as Redis can tell."""

    async def run() -> None:
        async with RedisStream(place.redis_url) as stream:
            await stream.emit_many(events)

    asyncio.run(run())


def read(place: World, session: str, number: int, after: str | None = None) -> list[Event]:
    """Return the next events that a follower gets."""
    with follow(session, after=after, redis_url=place.redis_url) as events:
        return [event for _ in range(number) if (event := events.next(timeout=10)) is not None]


def test_a_follower_sees_a_session_live_and_resumes_from_the_log(
    place: World, session: str
) -> None:
    own, seen = Listed(), list[Event]()
    store = MemoryStore()

    def watch() -> None:
        with follow(session, redis_url=place.redis_url) as events:
            while len([event for event in seen if event.terminal]) < 2:
                seen.append(next(events))

    watching = threading.Thread(target=watch)
    watching.start()
    for number in range(2):
        stream = FanOut(own, RedisStream(place.redis_url))
        played = Session(session, assistant=Assistant("builtin"), store=store, events=stream)
        assert isinstance(played.send_sync(f"message {number}"), Completed)
    watching.join(20)
    middle = seen[5]
    resumed = read(place, session, len(seen) - 6, after=str(middle.cursor))

    assert [event.to_json() for event in seen] == [event.to_json() for event in own.events]
    assert resumed == seen[6:]
    assert played.state.last_seq == seen[-1].seq


def test_a_log_that_begins_later_has_the_numbers_of_the_session(place: World, session: str) -> None:
    store = MemoryStore()
    before = Session(session, assistant=Assistant("builtin"), store=store)
    before.send_sync("Nobody listens.")

    stream = RedisStream(place.redis_url)
    played = Session(session, assistant=Assistant("builtin"), store=store, events=stream)
    played.send_sync("Now somebody does.")

    log = place.truth.log(session)
    assert log[0]["seq"] == before.state.last_seq + 1
    assert log[-1]["seq"] == played.state.last_seq


def test_what_a_dead_process_told_stays_and_the_next_one_goes_on_behind_it(
    place: World, session: str
) -> None:
    lost = deltas(session, 5)
    anew = [an_event(session, 1, "turn.noted", {}, turn="t-2"), *deltas(session, 3)]

    emit(place, *lost)
    emit(place, *anew)

    log = place.truth.log(session)
    assert [event["seq"] for event in log] == list(range(1, 10))
    assert [event["turn"] for event in log] == ["t-1"] * 5 + ["t-2"] + ["t-1"] * 3


def test_the_same_call_again_publishes_nothing_twice(place: World, session: str) -> None:
    events = deltas(session, 4)

    async def run() -> None:
        async with RedisStream(place.redis_url) as stream:
            for together in (events[:1], events[:1], events[1:], events[1:]):
                await stream.emit_many(together)

    asyncio.run(run())

    assert len(place.truth.log(session)) == 4


def test_a_turn_that_is_sent_again_is_told_again(place: World, session: str) -> None:
    """A state that was not saved leaves the turn to be played again, with the same numbers."""

    class Failing(MemoryStore):
        async def save(self, *args: object) -> None:
            raise RedisUnavailableError("redis://x", "away")

    stream = RedisStream(place.redis_url)
    assistant = Assistant("builtin")
    with pytest.raises(RedisUnavailableError):
        Session(session, assistant=assistant, store=Failing(), events=stream).send_sync(
            "Hello!", turn="t-1"
        )
    again = Session(session, assistant=assistant, store=MemoryStore(), events=stream)
    again.send_sync("Hello!", turn="t-1")

    types = [event["type"] for event in place.truth.log(session)]
    assert types.count("turn.started") == 2
    assert types[types.index("turn.started", 1) :].count("turn.completed") == 1
    assert types.count("turn.failed") == 1
    assert len(types) == 2 * again.state.last_seq


def test_the_attempt_that_began_last_goes_on_and_the_other_is_told(
    place: World, session: str
) -> None:
    async def run() -> None:
        async with RedisStream(place.redis_url) as one, RedisStream(place.redis_url) as other:
            await one.emit(an_event(session, 1, "text.delta", {"part": "p", "delta": "a"}))
            await other.emit(an_event(session, 1, "turn.noted", {}, turn="t-2"))
            with pytest.raises(StreamFencedError, match="another process"):
                await one.emit(an_event(session, 2, "text.delta", {"part": "p", "delta": "b"}))
            await other.emit(an_event(session, 2, "turn.noted", {}, turn="t-2"))
            # The next turn of the first one is newer again.
            await one.emit(an_event(session, 3, "turn.noted", {}, turn="t-3"))

    asyncio.run(run())

    assert [event["turn"] for event in place.truth.log(session)] == ["t-1", "t-2", "t-2", "t-3"]


def test_a_session_of_workers_is_never_disturbed(stage: World) -> None:
    session = "s-was-in-process"
    emit(stage, *deltas(session, 3))

    turn = stage.enqueue(session, assistant="brief")
    until(lambda: stage.truth.ended(session, turn), what="the worker plays the session")
    until(lambda: "turn.completed" in stage.truth.types(session, turn), what="and tells it")
    with pytest.raises(StreamFencedError, match="by workers"):
        emit(stage, *deltas(session, 3))

    log = stage.truth.log(session)
    assert [event["seq"] for event in log] == list(range(1, len(log) + 1))
    assert log[-1]["type"] == "turn.completed"


def test_a_log_is_trimmed_and_has_an_end(place: World, session: str) -> None:
    async def run() -> None:
        async with RedisStream(place.redis_url, length=100, ttl=50) as stream:
            for event in deltas(session, 600):
                await stream.emit(event)

    asyncio.run(run())

    log = place.truth.log(session)
    assert 100 <= len(log) < 300
    assert log[-1]["seq"] == 600
    assert 0 < place.truth.redis.ttl(f"tl:{{{session}}}:log") <= 50


def test_a_redis_that_is_away_is_reported_and_the_session_goes_on() -> None:
    own, reports = Listed(), list[Exception]()
    fan = FanOut(
        RedisStream("redis://127.0.0.1:1/0"), own, report=lambda _, error: reports.append(error)
    )

    async def run() -> None:
        for event in deltas("s", 2):
            await fan.emit(event)

    asyncio.run(run())

    assert len(own.events) == 2
    assert [type(each) for each in reports] == [RedisUnavailableError] * 2

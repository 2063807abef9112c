"""Cursors that cannot be continued, against a real Redis: a reset says so, every time."""

import asyncio
from collections.abc import Iterator

import pytest
import redis
from consumer_colours import Follow, seqs, take
from consumer_servers import RedisServer
from log_writer import LogWriter

from turnline_consumer import StaleSnapshotError, afollow
from turnline_schemas.event_data import SessionReset, Snapshot

SOON = 0.3
"""Seconds in which nothing is expected to come: three checks."""


def a_reset(event: object) -> SessionReset:
    data = getattr(event, "data", None)
    assert isinstance(data, SessionReset)
    return data


def test_a_lost_log_is_told_as_another_epoch(following: Follow, writer: LogWriter) -> None:
    writer.publish(5)
    with following() as events:
        old = take(events, 5)[-1].cursor
        writer.forget()
        writer.publish(2, floor=5)

        reset, *rest = take(events, 3)

    assert a_reset(reset).model_dump(exclude={"snapshot"}) == {
        "reason": "epoch_changed",
        "requested": str(old),
        "cursor": f"{writer.epoch}:5",
    }
    assert seqs(rest) == [6, 7]


def test_a_cursor_of_a_lost_log_waits_for_the_next_one(
    following: Follow, writer: LogWriter
) -> None:
    with following(after="gone:5") as events:
        assert events.next(SOON) is None
        assert events.cursor == "gone:5"

        writer.publish(1, floor=5)

        reset, event = take(events, 2)
        assert a_reset(reset).reason == "epoch_changed"
        assert event.seq == 6


def test_a_trimmed_cursor_is_reset_to_the_oldest_event_kept(
    following: Follow, writer: LogWriter
) -> None:
    writer.publish(20)
    writer.trim_to(11)

    with following(after=f"{writer.epoch}:4") as events:
        reset, *rest = take(events, 11)

    assert (a_reset(reset).reason, a_reset(reset).cursor) == ("trimmed", f"{writer.epoch}:10")
    assert (reset.seq, reset.epoch, reset.session) == (10, writer.epoch, writer.session)
    assert seqs(rest) == list(range(11, 21))


def test_without_a_cursor_a_trimmed_log_is_no_reset(following: Follow, writer: LogWriter) -> None:
    writer.publish(20)
    writer.trim_to(11)

    with following() as events:
        assert seqs(take(events, 10)) == list(range(11, 21))


def test_a_log_that_expired_is_reset_to_its_top(following: Follow, writer: LogWriter) -> None:
    writer.publish(5)
    writer.expire_log()

    with following(after=f"{writer.epoch}:3") as events:
        (reset,) = take(events, 1)
        assert (a_reset(reset).reason, reset.seq) == ("trimmed", 5)
        writer.publish()
        assert seqs(take(events, 1)) == [6]


def test_a_log_that_expired_behind_the_reader_is_no_reset(
    following: Follow, writer: LogWriter
) -> None:
    writer.publish(5)
    with following() as events:
        take(events, 5)
        writer.expire_log()
        assert events.next(SOON) is None
        writer.publish()
        assert seqs(take(events, 1)) == [6]


def test_a_cursor_ahead_of_the_log_is_reset(following: Follow, writer: LogWriter) -> None:
    writer.publish(3)

    with following(after=f"{writer.epoch}:9") as events:
        reset, *rest = take(events, 4)

    assert (a_reset(reset).reason, a_reset(reset).requested) == ("ahead", f"{writer.epoch}:9")
    assert seqs(rest) == [1, 2, 3]


def test_a_snapshot_says_where_to_go_on(following: Follow, writer: LogWriter) -> None:
    writer.publish(20)
    writer.trim_to(11)
    snapshot = Snapshot(session=writer.session, cursor=f"{writer.epoch}:18")

    with following(after=f"{writer.epoch}:4", snapshot=lambda _: snapshot) as events:
        reset, *rest = take(events, 3)

    assert a_reset(reset).snapshot == snapshot
    assert seqs(rest) == [19, 20]


def test_a_snapshot_the_log_has_left_behind_is_fetched_again(
    following: Follow, writer: LogWriter
) -> None:
    writer.publish(20)
    writer.trim_to(11)
    cursors = iter([5, 6, 15])

    def source(session: str) -> Snapshot:
        return Snapshot(session=session, cursor=f":{next(cursors)}")

    with following(after=f"{writer.epoch}:4", snapshot=source) as events:
        reset, *rest = take(events, 6)

    assert a_reset(reset).cursor == f"{writer.epoch}:15"
    assert seqs(rest) == [16, 17, 18, 19, 20]


def test_a_source_that_stays_behind_is_an_error(following: Follow, writer: LogWriter) -> None:
    writer.publish(20)
    writer.trim_to(11)
    stale = Snapshot(session=writer.session, cursor=f"{writer.epoch}:5")

    with (
        following(after=f"{writer.epoch}:4", snapshot=lambda _: stale) as events,
        pytest.raises(StaleSnapshotError),
    ):
        take(events, 1)


def test_an_error_of_the_source_is_raised_and_the_next_call_asks_again(
    following: Follow, writer: LogWriter
) -> None:
    writer.publish(3)
    answers: Iterator[Snapshot | Exception] = iter(
        [redis.ConnectionError("the source's own"), Snapshot(session=writer.session, cursor=":3")]
    )

    def source(session: str) -> Snapshot:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with following(after=f"{writer.epoch}:9", snapshot=source) as events:
        with pytest.raises(redis.ConnectionError, match="the source's own"):
            take(events, 1)
        (reset,) = take(events, 1)

    assert a_reset(reset).reason == "ahead"


def test_an_awaitable_snapshot_is_awaited(writer: LogWriter, redis_url: str) -> None:
    writer.publish(3)

    async def source(session: str) -> Snapshot:
        await asyncio.sleep(0)
        return Snapshot(session=session, cursor=":2")

    async def scenario() -> list[str]:
        cursor = f"{writer.epoch}:9"
        async with afollow(
            writer.session, after=cursor, redis_url=redis_url, snapshot=source
        ) as events:
            return [(await anext(events)).type for _ in range(2)]

    assert asyncio.run(scenario()) == ["session.reset", "text.delta"]


def test_a_restart_of_redis_without_its_data_is_told_as_another_epoch(
    session: str, own_redis: RedisServer, request: pytest.FixtureRequest
) -> None:
    for colour in ("sync", "async"):
        following = Follow(colour, session, own_redis.url)
        with LogWriter(own_redis.url, session) as writer, following() as events:
            writer.publish(3)
            take(events, 3)

            own_redis.stop()
            assert events.next(SOON) is None
            own_redis.start()
            writer.publish(2, floor=3)
            reset, *rest = take(events, 3)

            assert a_reset(reset).reason == "epoch_changed"
            assert seqs(rest) == [4, 5]
            writer.forget()

"""Following against a real Redis, blocking and asynchronous."""

import asyncio
import signal
import threading

import pytest
from consumer_colours import Follow, seqs, take
from consumer_servers import RedisServer, free_port, wait_until
from log_writer import LogWriter, delta

from turnline_consumer import UnreadableEventError, afollow, follow
from turnline_schemas.errors import (
    ConfigurationError,
    InvalidCursorError,
    InvalidInputError,
    InvalidMessageError,
    RedisUnavailableError,
)
from turnline_schemas.event_data import TextDelta
from turnline_schemas.names import events_channel, log_key, meta_key

SOON = 0.3
"""Seconds in which nothing is expected to come: three checks."""


def test_from_every_cursor_of_a_finished_session_the_rest_is_delivered(
    following: Follow, writer: LogWriter
) -> None:
    top = sum(writer.publish(batch) * 0 + batch for batch in (1, 3, 2, 5))

    for cursor in range(top + 1):
        with following(after=f"{writer.epoch}:{cursor}") as events:
            rest = take(events, top - cursor)
            assert events.cursor == f"{writer.epoch}:{top}"

        assert seqs(rest) == list(range(cursor + 1, top + 1))


def test_events_are_typed_and_carry_their_cursor(following: Follow, writer: LogWriter) -> None:
    writer.publish()

    with following() as events:
        (event,) = take(events, 1)

    assert isinstance(event.data, TextDelta)
    assert (event.session, str(event.cursor)) == (writer.session, f"{writer.epoch}:1")


def test_a_log_longer_than_a_page_is_read_to_its_end(following: Follow, writer: LogWriter) -> None:
    for _ in range(7):
        writer.publish(100)

    with following() as events:
        assert seqs(take(events, 700)) == list(range(1, 701))


def test_a_session_that_does_not_exist_yet_is_waited_for(
    following: Follow, writer: LogWriter
) -> None:
    with following() as events:
        assert events.next(SOON) is None
        assert events.cursor is None

        writer.publish(2)

        assert seqs(take(events, 2)) == [1, 2]


def test_latest_brings_only_what_comes_now(following: Follow, writer: LogWriter) -> None:
    writer.publish(3)

    with following(after="latest") as events:
        assert events.next(SOON) is None
        assert events.cursor == f"{writer.epoch}:3"
        writer.publish(2)

        assert seqs(take(events, 2)) == [4, 5]


def test_live_events_come_by_pub_sub_long_before_a_check(
    following: Follow, writer: LogWriter
) -> None:
    with following(check_every=600.0) as events:
        for seq in range(1, 50):
            writer.publish()
            assert seqs(take(events, 1, seconds=5)) == [seq]


def test_with_every_message_dropped_all_events_come_with_the_checks(
    following: Follow, writer: LogWriter
) -> None:
    with following() as events:
        for _ in range(5):
            top = writer.publish(60, channel="nobody-listens")
            assert seqs(take(events, 60)) == list(range(top - 59, top + 1))


def test_a_hole_is_filled_from_the_log_without_waiting_for_a_check(
    following: Follow, writer: LogWriter
) -> None:
    with following(check_every=600.0) as events:
        writer.publish(3, channel="nobody-listens")
        writer.publish(2)

        assert seqs(take(events, 5, seconds=5)) == [1, 2, 3, 4, 5]


def test_junk_on_the_channel_changes_nothing(following: Follow, writer: LogWriter) -> None:
    channel = events_channel(writer.session)
    with following(check_every=600.0) as events:
        writer.publish()
        for junk in (b"", b"junk", b"{}", b'{"epoch":"x","events":[{"seq":9}]}', b"[1]"):
            writer.redis.publish(channel, junk)
        writer.publish()

        assert seqs(take(events, 2, seconds=5)) == [1, 2]


def test_a_megabyte_in_one_frame_arrives_whole(following: Follow, writer: LogWriter) -> None:
    with following(check_every=600.0) as events:
        writer.publish(8000)

        assert seqs(take(events, 8000)) == list(range(1, 8001))


def test_an_unreadable_event_is_raised_and_can_be_passed_knowingly(
    following: Follow, writer: LogWriter
) -> None:
    writer.publish()
    writer.redis.xadd(log_key(writer.session), {"d": "broken"}, id="2-0")
    writer.redis.hset(meta_key(writer.session), "top", 2)
    writer.publish()

    with following() as events:
        assert seqs(take(events, 1)) == [1]
        with pytest.raises(UnreadableEventError, match="cannot be read") as caught:
            take(events, 1)
    with following(after=caught.value.cursor) as events:
        assert seqs(take(events, 1)) == [3]


def test_close_ends_the_iteration(following: Follow, writer: LogWriter) -> None:
    writer.publish(2)

    with following() as events:
        take(events, 1)
        events.close()

        assert events.next(60) is None
        assert events.cursor == f"{writer.epoch}:1"


def test_leaving_the_block_closes_every_connection(following: Follow, writer: LogWriter) -> None:
    with following() as events:
        events.next(0)
        assert writer.subscribers() == 1

    wait_until(lambda: writer.subscribers() == 0)


@pytest.mark.parametrize("start", [follow, afollow])
@pytest.mark.parametrize(
    ("session", "options", "error"),
    [
        ("", {}, InvalidMessageError),
        ("a b", {}, InvalidMessageError),
        ("a\n", {}, InvalidMessageError),
        ("x" * 129, {}, InvalidMessageError),
        ("s", {"after": "17"}, InvalidCursorError),
        ("s", {"check_every": 0}, InvalidInputError),
        ("s", {"give_up_after": -1}, InvalidInputError),
        ("s", {"redis_url": "http://:secret@host"}, ConfigurationError),
    ],
)
def test_a_wrong_argument_is_refused_before_any_io(
    start: object, session: str, options: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        start(session, **{"redis_url": "redis://127.0.0.1:1/0", **options})  # type: ignore[operator]

    assert "secret" not in str(caught.value)


def test_redis_down_at_the_start_is_told_with_the_url_but_not_its_password(
    following: Follow,
) -> None:
    port = free_port()

    with (
        pytest.raises(RedisUnavailableError) as caught,
        following(redis_url=f"redis://me:secret@127.0.0.1:{port}/0"),
    ):
        pass

    assert f"redis://me:***@127.0.0.1:{port}/0" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_wrong_password_is_told(following: Follow, redis_url: str) -> None:
    with (
        pytest.raises(RedisUnavailableError),
        following(redis_url=redis_url.replace("//", "//me:secret@")),
    ):
        pass


def test_what_redis_refuses_is_told_and_not_tried_for_ever(
    following: Follow, writer: LogWriter
) -> None:
    writer.publish()
    with following() as events:
        take(events, 1)
        writer.redis.set(log_key(writer.session), "no stream")
        with pytest.raises(RedisUnavailableError, match="WRONGTYPE"):
            events.next(20)
    writer.redis.delete(log_key(writer.session))


def test_url_options_cannot_break_the_reader(
    following: Follow, writer: LogWriter, redis_url: str
) -> None:
    url = f"{redis_url}?protocol=3&decode_responses=True&max_connections=1&health_check_interval=1"
    writer.publish()

    with following(redis_url=url) as events:
        assert seqs(take(events, 1)) == [1]
        writer.publish()
        assert seqs(take(events, 1)) == [2]


def test_a_loop_over_the_events_ends_when_another_thread_closes(
    writer: LogWriter, redis_url: str
) -> None:
    got: list[int] = []
    with follow(writer.session, redis_url=redis_url) as events:
        thread = threading.Thread(target=lambda: got.extend(event.seq for event in events))
        thread.start()
        writer.publish(3)
        wait_until(lambda: len(got) == 3)

        events.close()

        thread.join(5)
        assert not thread.is_alive()
    assert got == [1, 2, 3]


def test_without_a_with_block_the_first_event_connects_and_close_disconnects(
    writer: LogWriter, redis_url: str
) -> None:
    writer.publish()
    events = follow(writer.session, redis_url=redis_url)

    assert next(events).seq == 1
    events.close()

    assert list(events) == []
    wait_until(lambda: writer.subscribers() == 0)


def test_an_async_loop_ends_at_once_when_another_task_closes(
    writer: LogWriter, redis_url: str
) -> None:
    async def scenario() -> list[int]:
        got: list[int] = []
        async with afollow(writer.session, redis_url=redis_url, check_every=600) as events:

            async def loop() -> None:
                async for event in events:
                    got.append(event.seq)
                    if event.seq == 3:
                        asyncio.get_running_loop().call_soon(events.close)

            writer.publish(3)
            await asyncio.wait_for(loop(), 5)
        return got

    assert asyncio.run(scenario()) == [1, 2, 3]


def test_a_cancelled_wait_loses_nothing(writer: LogWriter, redis_url: str) -> None:
    async def scenario() -> list[int]:
        got: list[int] = []
        async with afollow(writer.session, redis_url=redis_url, check_every=600) as events:
            for batch in range(20):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(anext(events), 0.001 * (batch % 5))
                writer.publish(2)
                got += [(await asyncio.wait_for(anext(events), 5)).seq for _ in range(2)]
        return got

    assert asyncio.run(scenario()) == list(range(1, 41))


def test_an_interrupted_wait_loses_nothing(writer: LogWriter, redis_url: str) -> None:
    class Interrupt(BaseException):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupt

    got: list[int] = []
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with follow(writer.session, redis_url=redis_url, check_every=600) as events:
            for batch in range(20):
                signal.setitimer(signal.ITIMER_REAL, 0.001 + 0.002 * (batch % 5))
                with pytest.raises(Interrupt):
                    events.next(60)
                writer.publish(2)
                got += seqs(take(events, 2))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    assert got == list(range(1, 41))


def test_a_poll_without_time_still_moves_on(following: Follow, writer: LogWriter) -> None:
    writer.publish(2)

    with following() as events:
        wait_until(lambda: events.next(0) is not None)
        wait_until(lambda: events.next(0) is not None)
        assert events.next(0) is None
        writer.publish()
        wait_until(lambda: events.next(0) is not None)


def test_the_script_writes_what_a_reader_can_read(writer: LogWriter) -> None:
    writer.publish()

    ((_, fields),) = writer.redis.xrange(log_key(writer.session))

    assert fields[b"d"].decode().endswith(delta(writer.session))


def test_a_redis_that_stays_away_is_given_up_if_asked(session: str, own_redis: RedisServer) -> None:
    for colour in ("sync", "async"):
        with Follow(colour, session, own_redis.url)(give_up_after=0.5) as events:
            own_redis.stop()
            with pytest.raises(RedisUnavailableError, match=own_redis.url):
                events.next(20)
        own_redis.start()

"""When a follower connects, checks, pauses and gives up, without Redis and without waiting."""

import pytest

from turnline_consumer.course import (
    LONGEST_PAUSE,
    SILENCE,
    Course,
    Fetch,
    Listen,
    Open,
    Pause,
    Ping,
    ReadLog,
)
from turnline_consumer.page import Page
from turnline_consumer.reader import Reader
from turnline_schemas.errors import RedisUnavailableError
from turnline_schemas.event_data import Snapshot

EMPTY = Page(after=0, epoch="A", base=0, top=0, entries=())


def a_course(
    *, after: str | None = None, has_source: bool = False, give_up_after: float | None = None
) -> Course:
    reader = Reader("ses_1", after, has_source=has_source, clock=lambda: 0)
    return Course(
        reader,
        url="redis://:secret@nowhere:1/0",
        check_every=2.0,
        give_up_after=give_up_after,
        jitter=lambda: 1.0,
    )


def a_course_under_way(give_up_after: float | None = None) -> Course:
    course = a_course(give_up_after=give_up_after)
    course.opened()
    course.page(EMPTY, 0.0)
    return course


def test_the_subscription_is_confirmed_before_the_log_is_read() -> None:
    course = a_course()

    assert course.next(0.0) == Open()
    course.opened()
    assert course.next(0.0) == ReadLog(0)
    course.page(EMPTY, 0.0)
    assert course.next(0.0) == Listen(2.0)


def test_the_log_is_read_again_after_every_confirmation() -> None:
    course = a_course_under_way()
    course.lost("cut", 1.0)
    course.opened()

    assert course.next(1.0) == ReadLog(0)


def test_without_news_the_log_is_checked_and_the_subscription_pinged() -> None:
    course = a_course_under_way()

    course.heard(None, 1.9)
    assert course.next(1.9) == Listen(2.0)
    course.heard(None, 2.0)
    assert course.next(2.0) == ReadLog(0)
    course.page(EMPTY, 2.0)
    assert course.next(2.0) == Ping()
    course.pinged(2.0)
    assert course.next(2.0) == Listen(4.0)


def test_messages_that_bring_no_event_do_not_put_off_the_check() -> None:
    course = a_course_under_way()

    course.heard(b"", 1.9)

    assert course.next(1.9) == Listen(2.0)


def test_what_lies_in_the_socket_is_looked_at_before_a_check_that_is_overdue() -> None:
    course = a_course_under_way()

    assert course.next(60.0) == Listen(2.0)


def test_a_subscription_that_leaves_a_ping_unanswered_is_replaced() -> None:
    course = a_course_under_way()
    course.heard(None, 2.0)
    course.page(EMPTY, 2.0)
    course.pinged(2.0)

    course.heard(None, 2.0 + SILENCE)

    assert isinstance(course.next(4.0), Pause)
    assert course.next(4.05) == Open()


def test_an_answered_ping_keeps_the_subscription() -> None:
    course = a_course_under_way()
    course.heard(None, 2.0)
    course.page(EMPTY, 2.0)
    course.pinged(2.0)

    course.heard(b"", 2.1)
    course.heard(None, 4.0)

    assert course.next(4.0) == ReadLog(0)


def test_the_first_failure_is_raised_and_hides_the_password() -> None:
    course = a_course()

    with pytest.raises(RedisUnavailableError, match="refused") as caught:
        course.lost("connection refused", 0.0)

    assert "redis://:***@nowhere:1/0" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_pauses_double_up_to_the_longest() -> None:
    course = a_course_under_way()

    pauses, now = [], 0.0
    for _ in range(8):
        course.lost("cut", now)
        action = course.next(now)
        assert isinstance(action, Pause)
        pauses.append(round(action.until - now, 6))
        now = action.until

    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, LONGEST_PAUSE, LONGEST_PAUSE]


def test_a_read_that_worked_ends_the_pauses() -> None:
    course = a_course_under_way()
    for _ in range(8):
        course.lost("cut", 0.0)
    course.opened()
    course.page(EMPTY, 10.0)

    course.lost("cut", 10.0)

    assert course.next(10.0) == Pause(10.05)


def test_giving_up_counts_from_the_first_failure_since_redis_worked() -> None:
    course = a_course_under_way(give_up_after=3.0)

    course.lost("cut", 10.0)
    course.opened()
    course.lost("cut", 12.9)
    assert course.next(12.9) == Pause(13.0)
    with pytest.raises(RedisUnavailableError, match="still cut"):
        course.lost("still cut", 13.0)


def test_after_giving_up_it_can_be_tried_again() -> None:
    course = a_course_under_way(give_up_after=3.0)
    course.lost("cut", 10.0)
    with pytest.raises(RedisUnavailableError):
        course.lost("cut", 13.0)

    course.lost("cut", 14.0)

    assert isinstance(course.next(14.0), Pause)


def test_the_next_snapshot_is_asked_for_after_a_pause() -> None:
    course = a_course(after="A:3", has_source=True)
    course.opened()
    course.page(Page(3, "B", 0, 0, ()), 0.0)
    assert course.next(0.0) == Fetch()
    course.snapshot(Snapshot(session="ses_1", cursor="A:4"))
    assert course.next(0.0) == ReadLog(4)

    course.page(Page(4, "B", 0, 0, ()), 0.0)

    assert course.next(0.0) == Pause(0.05)
    assert course.next(0.05) == Fetch()

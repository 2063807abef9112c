"""Connections cut at random while a writer publishes: every event comes once and in order."""

import contextlib
import random
import threading
import time
from collections.abc import Callable

import pytest
import redis
from black_hole import BlackHole
from consumer_colours import Follow, seqs, take
from consumer_servers import wait_until
from log_writer import LogWriter

from turnline_schemas.names import meta_key

EVENTS = 600


def in_background(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def cut_until(writer: LogWriter, done: threading.Event, rng: random.Random) -> int:
    """Cut connections now and then; return how many subscriptions were cut."""
    cut = 0
    while not done.wait(rng.uniform(0.0, 0.03)):
        cut += writer.kill_connections("pubsub")
        if rng.random() < 0.3:
            writer.kill_connections("normal")
    return cut


def write_all(url: str, session: str, seed: int) -> None:
    """Publish all events in batches, some without a message, over about a second."""
    rng, pace = random.Random(seed + 1000), threading.Event()
    with LogWriter(url, session) as writer:
        while (missing := EVENTS - top_of(writer)) > 0:
            pace.wait(rng.uniform(0.0, 0.01))
            channel = "nobody-listens" if rng.random() < 0.2 else None
            with contextlib.suppress(redis.ConnectionError):
                writer.publish(min(rng.randint(1, 6), missing), channel=channel)


def top_of(writer: LogWriter) -> int:
    while True:
        with contextlib.suppress(redis.ConnectionError):
            return int(writer.redis.hget(meta_key(writer.session), "top") or 0)


@pytest.mark.parametrize("seed", range(3))
def test_with_connections_cut_at_random_every_event_comes_once_and_in_order(
    following: Follow, writer: LogWriter, redis_url: str, seed: int
) -> None:
    rng = random.Random(seed)
    done = threading.Event()
    with following(after="latest") as events:
        cut: list[int] = []
        cutter = in_background(lambda: cut.append(cut_until(writer, done, rng)))
        author = in_background(lambda: write_all(redis_url, writer.session, seed))
        try:
            got = take(events, EVENTS, seconds=60)
        finally:
            done.set()
            cutter.join()
            author.join()
        last = events.next(0.3)

    assert seqs(got) == list(range(1, EVENTS + 1))
    assert last is None
    assert cut[0] > 5


def test_a_reader_that_leaves_and_comes_back_misses_nothing(
    following: Follow, writer: LogWriter, redis_url: str
) -> None:
    author = in_background(lambda: write_all(redis_url, writer.session, 7))
    rng = random.Random(7)
    got: list[int] = []
    cursor: str | None = None
    try:
        while len(got) < EVENTS:
            with following(after=cursor) as events:
                got += seqs(take(events, min(rng.randint(1, 60), EVENTS - len(got))))
                cursor = events.cursor
    finally:
        author.join()

    assert got == list(range(1, EVENTS + 1))


def test_a_connection_that_went_silent_is_replaced(
    following: Follow, writer: LogWriter, redis_url: str
) -> None:
    writer.publish()
    with (
        BlackHole(redis_url) as proxy,
        following(redis_url=f"{proxy.url}?socket_timeout=0.5", check_every=0.2) as events,
    ):
        take(events, 1)

        proxy.swallow()
        writer.publish(2)

        assert seqs(take(events, 2, seconds=10)) == [2, 3]


def test_a_subscription_alone_that_went_silent_is_replaced(
    following: Follow, writer: LogWriter, redis_url: str
) -> None:
    with BlackHole(redis_url) as proxy, following(redis_url=proxy.url) as events:
        events.next(0)
        proxy.swallow_first()

        started = time.monotonic()
        wait_until(lambda: events.next(0.01) is None and proxy.connections > 2, 15)
        assert time.monotonic() - started < 10

        writer.publish(2)
        assert seqs(take(events, 2)) == [1, 2]

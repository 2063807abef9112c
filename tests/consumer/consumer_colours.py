"""Both ways to follow, blocking and asynchronous, behind one face."""

import asyncio
import time
from typing import Any

from turnline_consumer import AsyncFollower, Follower, afollow, follow
from turnline_schemas.event import Event


class Blocking:
    """An ``AsyncFollower`` with the face of a ``Follower``; its loop runs only inside calls."""

    def __init__(self, follower: AsyncFollower) -> None:
        self._follower = follower
        self._runner = asyncio.Runner()

    @property
    def cursor(self) -> str | None:
        return self._follower.cursor

    def next(self, timeout: float) -> Event | None:
        return self._runner.run(self._follower.next(timeout))

    def close(self) -> None:
        self._follower.close()

    def __enter__(self) -> "Blocking":
        try:
            self._runner.run(self._follower.__aenter__())
        except BaseException:
            self._runner.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._follower.__aexit__(None, None, None))
        self._runner.close()


Following = Follower | Blocking


class Follow:
    """Follows the test's session in the colour the test runs in."""

    def __init__(self, colour: str, session: str, redis_url: str) -> None:
        self._start = follow if colour == "sync" else (lambda *a, **k: Blocking(afollow(*a, **k)))
        self._session = session
        self._redis_url = redis_url

    def __call__(self, **options: Any) -> Following:
        options = {"redis_url": self._redis_url, "check_every": 0.1, **options}
        return self._start(self._session, **options)


def take(events: Following, count: int, seconds: float = 20) -> list[Event]:
    """Return the next ``count`` events; fail if they do not come within ``seconds``."""
    deadline = time.monotonic() + seconds
    taken: list[Event] = []
    while len(taken) < count:
        event = events.next(max(0.0, deadline - time.monotonic()))
        assert event is not None, f"only {len(taken)} of {count} events came in time"
        taken.append(event)
    return taken


def seqs(events: list[Event]) -> list[int]:
    return [event.seq for event in events]

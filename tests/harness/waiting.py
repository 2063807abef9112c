"""Waiting for something to become true.  Tests never sleep."""

from collections.abc import Callable
from typing import TypeVar

from turnline_workers.embedded.waiting import wait_until

T = TypeVar("T")


def until(read: Callable[[], T], *, seconds: float = 15.0, what: str) -> T:
    """Return what ``read`` returns once it is true; fail if it is not within ``seconds``."""
    last: list[T] = []

    def holds() -> bool:
        last[:] = [read()]
        return bool(last[0])

    came = wait_until(holds, seconds=seconds)

    assert came, f"not within {seconds:g} s: {what} (last seen: {last[0]!r})"
    return last[0]

"""Waiting on a condition with a deadline, in a way that a request to stop can end."""

import time
from collections.abc import Callable
from typing import Final

from turnline_workers.embedded.errors import StoppedError

_PAUSE: Final = 0.05


class StopRequest:
    """Says that the stack should stop; asked twice, that it should stop at once.

    A plain counter and no ``threading.Event``, because signal handlers ask:
    a handler that runs inside ``Event.wait`` would find the event's own lock taken.
    """

    def __init__(self) -> None:
        self._times = 0

    def ask(self) -> None:
        """Ask to stop.  Safe in a signal handler."""
        self._times += 1

    @property
    def asked(self) -> bool:
        """Whether the stack should stop."""
        return self._times > 0

    @property
    def urgent(self) -> bool:
        """Whether it should stop without waiting for anything."""
        return self._times > 1


def wait_until(
    condition: Callable[[], bool], *, seconds: float, stop: StopRequest | None = None
) -> bool:
    """Wait until ``condition`` holds; False if it did not within ``seconds``.

    Raises:
        StoppedError: somebody asked to stop before it held.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if stop is not None and stop.asked:
            raise StoppedError("asked to stop before everything was ready")
        if time.monotonic() >= deadline:
            return False
        time.sleep(_PAUSE)
    return True

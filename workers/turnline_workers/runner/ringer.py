"""Sends bells from a thread of its own: a slow broker must not slow the loop."""

import queue
import threading
from dataclasses import dataclass

import structlog

from turnline_producer.bells import Bells

logger = structlog.get_logger(__name__)

_LONGEST_QUEUE = 10_000
"""Bells waiting to be sent; more are dropped, because the sweep rings again."""


@dataclass(frozen=True, slots=True)
class Bell:
    """One bell."""

    session: str
    turn: str
    """The turn to play, as far as is known; for people who watch."""
    hops: int = 0
    """How often it was passed on by workers without a free slot."""


class Ringer:
    """A thread that sends bells, in order, and forgets those that cannot be sent."""

    def __init__(self, bells: Bells) -> None:
        self._bells = bells
        self._queue: queue.Queue[Bell | None] = queue.Queue(_LONGEST_QUEUE)
        self._thread = threading.Thread(target=self._run, name="turnline-ringer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def ring(self, bell: Bell) -> None:
        """Send ``bell`` soon.  Never blocks and never fails."""
        try:
            self._queue.put_nowait(bell)
        except queue.Full:
            logger.warning("bell.dropped", session=bell.session, reason="too many wait")

    def stop(self, *, wait: float) -> None:
        """Send what waits, for at most ``wait`` seconds, and end the thread."""
        self._queue.put(None)
        self._thread.join(wait)
        self._bells.close()

    def _run(self) -> None:
        while (bell := self._queue.get()) is not None:
            try:
                self._bells.ring(bell.session, bell.turn, hops=bell.hops)
            except Exception as error:  # noqa: BLE001 - the next bell may get through
                logger.warning("bell.not_sent", session=bell.session, error=str(error))

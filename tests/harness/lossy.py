"""A broker that loses bells."""

import threading
from typing import Any

import redis

QUEUE = "turnline.turns"


class LossyBroker:
    """For as long as the block lasts, takes bells as a worker would and throws them away.

    It also deletes the queue again and again, for bells that wait while all workers are busy.
    """

    def __init__(self, broker: "redis.Redis") -> None:
        self._broker = broker
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.lost = 0
        """Bells thrown away."""

    def __enter__(self) -> "LossyBroker":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            # Workers that wait get bells directly, so whoever wants to lose some must wait, too.
            if self._broker.brpop([QUEUE], timeout=0.2) is not None:
                self.lost += 1
            with self._broker.pipeline(transaction=True) as pipe:
                pipe.llen(QUEUE).delete(QUEUE)
                deleted: list[Any] = pipe.execute()
                self.lost += int(deleted[0])

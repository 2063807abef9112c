"""A producer process: enqueues what its first argument says, and prints what came of it.

Run as a script, because what it is told and what it answers are the only things it shares with
the test.  Times are those of the machine's monotonic clock, which all processes share.
"""

import json
import sys
import time
from typing import Any

from turnline_producer import Producer
from turnline_producer.bells import Bells


def main() -> None:
    """Wait for a line on standard input, so that all producers begin at once; then enqueue."""
    plan: dict[str, Any] = json.loads(sys.stdin.readline())
    if plan["rings"] > 1:
        _ring_often(plan["rings"])
    with Producer(plan["redis_url"], broker_url=plan["broker_url"]) as producer:
        print("ready", flush=True)
        sys.stdin.readline()
        done = [_enqueue(producer, turn) for turn in plan["turns"]]
    print(json.dumps(done), flush=True)


def _enqueue(producer: Producer, turn: dict[str, Any]) -> dict[str, Any]:
    called = time.monotonic()
    receipt = producer.enqueue(
        turn["session"],
        turn["text"],
        turn=turn["turn"],
        context=turn["context"],
        assistant=turn["assistant"],
    )
    returned = time.monotonic()
    told = {"position": receipt.position, "status": receipt.status}
    return {**turn, **told, "called": called, "returned": returned}


def _ring_often(times: int) -> None:
    ring = Bells.ring

    def ring_often(self: Bells, session: str, turn: str, *, hops: int = 0) -> None:
        for _ in range(times):
            ring(self, session, turn, hops=hops)

    Bells.ring = ring_often  # type: ignore[method-assign]


if __name__ == "__main__":
    main()

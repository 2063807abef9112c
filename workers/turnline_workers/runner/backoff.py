"""How long to wait between two tries at a server that is away."""

import random
from collections.abc import Iterator


def pauses(first: float = 0.1, longest: float = 2.0) -> Iterator[float]:
    """Yield growing pauses in seconds, without end, spread so that workers do not march in step."""
    pause = first
    while True:
        yield pause * random.uniform(0.7, 1.3)  # noqa: S311 - no secret depends on it
        pause = min(2 * pause, longest)

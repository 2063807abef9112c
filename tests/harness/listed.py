"""A stream for looking at afterwards."""

from collections.abc import Sequence

from turnline_schemas.event import Event


class Listed:
    """A stream that keeps what it is given."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def emit(self, event: Event) -> None:
        """Keep it."""
        self.events.append(event)

    async def emit_many(self, events: Sequence[Event]) -> None:
        """Keep them."""
        self.events += events

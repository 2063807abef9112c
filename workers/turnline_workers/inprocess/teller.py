"""Events of one attempt, numbered on their way to a stream."""

import time

from turnline_schemas.event import Event
from turnline_schemas.event_data import EVENT_TYPES, EventData
from turnline_workers.inprocess.streams import EventStream


class Teller:
    """Numbers the events of one attempt."""

    def __init__(
        self, events: EventStream, session: str, turn: str, attempt: int, seq: int
    ) -> None:
        """Tell nothing yet.

        Args:
            seq: number of the session's newest event.
        """
        self._events = events
        self._session = session
        self._turn = turn
        self.attempt = attempt
        self.seq = seq

    async def tell(self, data: EventData) -> None:
        """Emit ``data`` with the next number."""
        self.seq += 1
        event = Event(
            seq=self.seq,
            session=self._session,
            turn=self._turn,
            attempt=self.attempt,
            ts=time.time_ns() // 1_000_000,
            type=EVENT_TYPES[type(data)],
            data=data,
        )
        await self._events.emit(event)

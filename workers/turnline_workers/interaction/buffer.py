"""Coalescing: deltas of one part become one event while they wait.  No clock, no I/O."""

from dataclasses import dataclass, field

from turnline_schemas.event_data import EventData, ReasoningDelta, TextDelta

Delta = TextDelta | ReasoningDelta


@dataclass(slots=True)
class _Entry:
    data: EventData
    more: list[str] = field(default_factory=list)

    def joined(self) -> EventData:
        if not self.more or not isinstance(self.data, Delta):
            return self.data
        return self.data.model_copy(update={"delta": "".join((self.data.delta, *self.more))})


class EventBuffer:
    """Events in order, with neighbouring deltas of the same part merged into one."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self.size = 0
        """Bytes of text that the deltas hold, about (characters)."""

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, data: EventData) -> None:
        """Append one event."""
        if isinstance(data, Delta):
            self.size += len(data.delta)
            last = self._entries[-1] if self._entries else None
            if last is not None and _continues(last.data, data):
                last.more.append(data.delta)
                return
        self._entries.append(_Entry(data))

    def events(self) -> list[EventData]:
        """Return what is buffered."""
        return [entry.joined() for entry in self._entries]

    def drain(self) -> list[EventData]:
        """Return what is buffered and forget it."""
        events = self.events()
        self._entries, self.size = [], 0
        return events


def _continues(last: EventData, data: Delta) -> bool:
    return type(last) is type(data) and isinstance(last, Delta) and last.part == data.part

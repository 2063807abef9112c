"""What of a session's events has yet to be published, and by which right.  No I/O."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from turnline_schemas.event import Event
from turnline_workers.bus.log import Batch


@dataclass(slots=True, eq=False)
class Place:
    """One attempt's right to publish, and how far it got."""

    turn: str | None
    attempt: int
    fence: float | None = None
    """None until Redis was asked for the newest one."""
    number: int = 0
    newest: tuple[Event, ...] = ()
    """What the newest batch held."""
    broken: bool = False
    """Something was left out, so that nothing of this attempt may come after it."""

    def goes_on_with(self, events: Sequence[Event]) -> bool:
        """Whether ``events`` belong to this attempt, and do not begin it anew."""
        first = events[0]
        same = (first.turn, first.attempt) == (self.turn, self.attempt)
        return same and (first.type != "turn.started" or events == self.newest)


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One batch on its way."""

    place: Place
    number: int
    events: tuple[Event, ...]

    def batch(self, fence: float) -> Batch:
        """Return the batch; it has the same number however often it is tried."""
        first = self.events[0]
        return Batch(
            first.session,
            tuple(_fragment(event) for event in self.events),
            fence=fence,
            number=self.number,
            floor=first.seq - 1,
        )


@dataclass(slots=True, eq=False)
class Unsent:
    """Batches of one session, oldest first.  What fails stays, and goes before what comes."""

    limit: int
    """Events that may wait."""
    place: Place = field(default_factory=lambda: Place(None, -1))
    """Of the newest attempt."""
    entries: deque[Entry] = field(default_factory=deque)

    def add(self, events: tuple[Event, ...]) -> bool:
        """Put ``events`` of one attempt behind all others; the newest again changes nothing.

        Returns:
            False if nothing more of that attempt is taken: too much waits, or did before, and
            what readers get must have no hole.
        """
        if not self.place.goes_on_with(events):
            self.place = Place(events[0].turn, events[0].attempt)
        place = self.place
        repeated = events == place.newest
        if repeated and any(entry.events is place.newest for entry in self.entries):
            return True
        waiting = sum(len(entry.events) for entry in self.entries)
        # One batch is always taken: its size is the caller's to say.
        place.broken = place.broken or (waiting > 0 and waiting + len(events) > self.limit)
        if place.broken:
            return False
        if not repeated:
            place.number += 1
            place.newest = events
        self.entries.append(Entry(place, place.number, place.newest))
        return True

    def sent(self, entry: Entry) -> None:
        """Note that the log has ``entry``."""
        if self.entries and self.entries[0] is entry:
            self.entries.popleft()

    def drop(self, place: Place) -> None:
        """Forget what waits of an attempt that may not publish any more."""
        self.entries = deque(entry for entry in self.entries if entry.place is not place)


def _fragment(event: Event) -> str:
    """Return its JSON without version and number, which the log puts in front."""
    return event.to_json().removeprefix(f'{{"v":{event.v},"seq":{event.seq},')

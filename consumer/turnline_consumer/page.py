"""What one read of a session's log answers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Page:
    """The log's meta and some of its entries, as of one moment."""

    after: int
    """The seq that the entries come after."""
    epoch: str | None
    """None: there is no log."""
    base: int
    """The seq below the epoch's first event."""
    top: int
    """The newest event's seq."""
    entries: tuple[tuple[int, bytes], ...]
    """Seq and JSON of the events kept, in order, oldest first; not necessarily all."""

    def first_after(self, seq: int) -> int | None:
        """Return the first entry's seq above ``seq``, or None."""
        return next((entry for entry, _ in self.entries if entry > seq), None)

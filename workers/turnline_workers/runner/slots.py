"""How many turns one process plays at a time.  Used on the loop only."""


class Slots:
    """A counter that never waits: a bell without a slot does its intake and leaves."""

    def __init__(self, limit: int) -> None:
        self._free = limit
        self.refused = False
        """Somebody found no slot since this was last cleared."""

    @property
    def free(self) -> int:
        """Slots that nobody has.  Other threads may read it as a hint."""
        return self._free

    def take(self) -> bool:
        """Take a slot if one is free."""
        if self._free == 0:
            self.refused = True
            return False
        self._free -= 1
        return True

    def give(self) -> None:
        """Give a slot back."""
        self._free += 1

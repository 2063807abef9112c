"""A reader's place in a session's event log."""

from dataclasses import dataclass

from turnline_schemas.errors import InvalidCursorError


@dataclass(frozen=True, slots=True)
class Cursor:
    """``epoch:seq``, the last event a reader has.

    The seq finds a hole; the epoch tells that the hot log itself was lost and started anew.
    An empty epoch means "whichever log there is".
    """

    epoch: str
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}:{self.seq}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Read ``text``.

        Raises:
            InvalidCursorError: it is not of the form ``<epoch>:<seq>``.
        """
        epoch, colon, seq = text.rpartition(":")
        if not colon or not seq.isascii() or not seq.isdigit() or len(seq) > 15:
            raise InvalidCursorError(text)
        if epoch and not (epoch.isascii() and epoch.isalnum() and len(epoch) <= 32):
            raise InvalidCursorError(text)
        return cls(epoch, int(seq))

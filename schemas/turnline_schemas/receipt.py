"""What a producer gets back."""

from typing import Literal

from turnline_schemas.message import WireModel


class Receipt(WireModel):
    """Proof that a turn is in its session's inbox, at its final position."""

    session: str
    turn: str
    position: str
    """Place in the session's order: the inbox entry's id.  Final."""
    status: Literal["enqueued", "duplicate"]
    """``duplicate``: the same turn was enqueued before, and ``position`` is that one's."""
    rung: bool
    """A bell is on its way.  If not, the workers' sweep finds the turn within seconds."""
    ring_error: str | None = None
    """Why no bell could be sent, if the broker was not available."""
    confirmed: bool = False
    """The turn is committed in Postgres and survives the loss of Redis."""

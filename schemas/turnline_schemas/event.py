"""Events: published, numbered facts of a session.

Readers ignore types they do not know; within version 1 fields are only ever added.
"""

import json
from typing import Any, Final, Literal

from pydantic import Field, JsonValue, TypeAdapter, model_validator

from turnline_schemas.cursor import Cursor
from turnline_schemas.event_data import DATA_MODELS, TERMINAL, EventData, UnknownData
from turnline_schemas.message import WireModel


class Event(WireModel):
    """One published, numbered fact of a session."""

    v: Literal[1] = 1
    seq: int = Field(ge=0)
    """Dense in its session: 1, 2, 3, ... across turns, attempts and workers."""
    session: str
    turn: str | None = None
    """None for events that concern the session itself."""
    attempt: int = 0
    """Which try at the turn; 0 before the first."""
    ts: int
    """Worker's clock when the event was made, in ms since 1970.  Never used to order."""
    type: str
    data: EventData
    epoch: str = Field(default="", exclude=True)
    """Which life of the log the event was read from; filled in by readers."""

    @model_validator(mode="before")
    @classmethod
    def _typed_data(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or isinstance(raw.get("data"), EventData):
            return raw
        model = DATA_MODELS.get(str(raw.get("type")), UnknownData)
        return {**raw, "data": model.model_validate(raw.get("data") or {})}

    @property
    def cursor(self) -> Cursor:
        """Where a reader that has this event continues."""
        return Cursor(self.epoch, self.seq)

    @property
    def terminal(self) -> bool:
        """Whether this event ends its turn."""
        return self.type in TERMINAL

    def to_json(self) -> str:
        """Return the envelope as it stands in the log and on the channel."""
        return json.dumps(
            {
                **self.model_dump(mode="json", exclude={"data"}),
                "data": self.data.model_dump(mode="json"),
            },
            ensure_ascii=False,
            separators=(",", ":"),
        )


class Frame(WireModel):
    """What one pub/sub message holds: a batch of events of one epoch."""

    epoch: str
    events: tuple[dict[str, JsonValue], ...]


FRAME: Final = TypeAdapter(Frame)


def parse_event(raw: bytes | str | dict[str, Any], *, epoch: str = "") -> Event:
    """Read one event, as it stands in a log entry or in a frame."""
    payload = raw if isinstance(raw, dict) else json.loads(raw)
    return Event.model_validate({**payload, "epoch": epoch})

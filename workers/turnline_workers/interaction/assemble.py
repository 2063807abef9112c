"""From streamed parts to one message.  The same rules for the worker and for any reader."""

from turnline_schemas.event import (
    EventData,
    ReasoningDelta,
    ReasoningStarted,
    TextDelta,
    TextStarted,
)
from turnline_schemas.message import Content, Message, Part


class Assembler:
    """Collects the text and reasoning of one answer from its events, in order."""

    def __init__(self) -> None:
        self._parts: dict[str, tuple[str, list[str]]] = {}

    def feed(self, event: EventData) -> None:
        """Take one event; types that carry no content are ignored."""
        match event:
            case ReasoningStarted(part=part):
                self._parts[part] = ("reasoning", [])
            case TextStarted(part=part):
                self._parts[part] = ("text", [])
            case TextDelta(part=part, delta=delta) | ReasoningDelta(part=part, delta=delta):
                self._parts[part][1].append(delta)
            case _:
                return

    def message(self) -> Message | None:
        """Return the answer so far, a plain string unless there is more than text; or None."""
        parts = [(kind, "".join(pieces)) for kind, pieces in self._parts.values()]
        if not any(text for _, text in parts):
            return None
        text = "".join(text for kind, text in parts if kind == "text")
        if all(kind == "text" for kind, _ in parts):
            return Message(role="assistant", content=text)
        typed = tuple(Part.model_validate({"type": kind, "text": text}) for kind, text in parts)
        return Message(role="assistant", content=Content(text=text, parts=typed))

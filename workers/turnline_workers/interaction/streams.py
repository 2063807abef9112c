"""What of a turn is still being said.  Values that share what they have in common.

A delta costs the same however long the text before it is: pieces form a chain that is joined
once, when the stream ends.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from pydantic import JsonValue

from turnline_schemas.event_data import SourceAdded
from turnline_schemas.message import Content, Message, Part

Place = tuple[int, int]
"""Step and index: where a message stands in its turn."""

Kind = Literal["text", "reasoning", "tool-call"]

Chain = tuple["Chain", str] | None
"""All pieces before, and the newest one."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an answer, while it grows."""

    id: str
    kind: Kind
    chain: Chain = None
    name: str = ""
    ready: bool = True
    """False for a tool call whose arguments are not complete."""
    arguments: JsonValue = None

    @property
    def text(self) -> str:
        """All deltas so far."""
        pieces, chain = [], self.chain
        while chain is not None:
            chain, piece = chain
            pieces.append(piece)
        return "".join(reversed(pieces))


@dataclass(frozen=True, slots=True)
class Stream:
    """What one step says."""

    pieces: tuple[Piece, ...] = ()
    sources: tuple[SourceAdded, ...] = ()

    def begun(self, id_: str, kind: Kind, *, name: str = "") -> "Stream":
        """Return the stream with a part that begins; one that has begun stays."""
        if any(piece.id == id_ for piece in self.pieces):
            return self
        piece = Piece(id_, kind, name=name, ready=kind != "tool-call")
        return replace(self, pieces=(*self.pieces, piece))

    def grown(self, id_: str, kind: Kind, delta: str) -> "Stream":
        """Return the stream with more of one part."""
        stream = self.begun(id_, kind)
        return stream._changed(id_, lambda piece: replace(piece, chain=(piece.chain, delta)))

    def called(self, id_: str, name: str, arguments: JsonValue) -> "Stream":
        """Return the stream with a complete tool call."""
        stream = self.begun(id_, "tool-call", name=name)
        return stream._changed(
            id_, lambda piece: replace(piece, name=name, arguments=arguments, ready=True)
        )

    def _changed(self, id_: str, change: "Any") -> "Stream":
        # Nearly always the last part, unless a model writes several calls at once.
        return replace(
            self,
            pieces=tuple(change(piece) if piece.id == id_ else piece for piece in self.pieces),
        )

    def answer(self) -> Message | None:
        """Return the assistant's message, a plain string unless there is more than text; or None.

        A call whose arguments never came to an end is left out: no tool could have run.
        """
        said = [(piece, piece.text) for piece in self.pieces if piece.ready]
        said = [(piece, text) for piece, text in said if text or piece.kind == "tool-call"]
        if not said:
            return None
        text = "".join(text for piece, text in said if piece.kind == "text")
        if all(piece.kind == "text" for piece, _ in said):
            return Message(role="assistant", content=text)
        parts = tuple(_part(piece, text) for piece, text in said)
        return Message(role="assistant", content=Content(text=text, parts=parts))

    def found(self) -> Message | None:
        """Return what was found, as a tool's message; or None."""
        if not self.sources:
            return None
        value = [source.model_dump(mode="json", exclude_none=True) for source in self.sources]
        part = Part.model_validate({"type": "data", "name": "sources", "value": value})
        text = "\n\n".join(f"{source.title}\n{source.text}".strip() for source in self.sources)
        return Message(role="tool", content=Content(text=text, parts=(part,)))


def _part(piece: Piece, text: str) -> Part:
    if piece.kind == "tool-call":
        fields = {"call": piece.id, "name": piece.name, "arguments": piece.arguments}
        return Part.model_validate({"type": "tool-call", **fields})
    return Part.model_validate({"type": piece.kind, "text": text})


@dataclass(frozen=True, slots=True)
class TurnProgress:
    """The turn that is being played: its open streams, and where its messages stand."""

    turn: str = ""
    places: tuple[Place, ...] = ()
    """Places of its messages, which are the newest of the state."""
    streams: Mapping[str, Stream] = field(default_factory=lambda: MappingProxyType({}))
    """Step -> what it says."""

    def with_stream(self, step: str, stream: Stream) -> "TurnProgress":
        """Return the progress with a changed stream."""
        return replace(self, streams=MappingProxyType({**self.streams, step: stream}))

    def without_stream(self, step: str) -> "TurnProgress":
        """Return the progress without a stream."""
        left = {name: stream for name, stream in self.streams.items() if name != step}
        return replace(self, streams=MappingProxyType(left))

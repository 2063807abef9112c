"""What an unfinished turn has done already, so that its next attempt does not do it again."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import JsonValue

from turnline_schemas.event_data import DATA_MODELS, EVENT_TYPES, EventData, TraceEntry
from turnline_workers.interaction.buffer import EventBuffer
from turnline_workers.interaction.pause import Desk

UNKNOWN_OUTCOME: Final = "unknown_outcome"

Kind = Literal["step", "began", "asked", "tool", "answer", "expired"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a journal.  The first under its kind and id stays."""

    kind: Kind
    """``step`` and ``tool``: it ended, with these events; ``began``: a run of a tool that must not
    be repeated blindly; ``asked``: that run did nothing but ask; ``answer``: what somebody
    answered to a pause; ``expired``: nobody did in time."""
    id: str
    """Of the step, call, run of a call, or pause."""
    value: JsonValue = None


@dataclass(frozen=True, slots=True)
class Record:
    """Lines that must be on disk before anything more is done."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """What a finished step or call told."""

    events: tuple[EventData, ...]
    trace: tuple[TraceEntry, ...] = ()
    private: Mapping[str, Any] = field(default_factory=dict)
    """What it changed in the private state."""
    finish_reason: str = ""

    def told(self) -> Iterator[EventData | TraceEntry]:
        """Yield all that the step or call tells."""
        yield from self.events
        yield from self.trace

    def entry(self, kind: Kind, id_: str) -> Entry:
        """Return it as a line of the journal."""
        value: dict[str, Any] = {
            "events": [
                {"type": EVENT_TYPES[type(event)], "data": event.model_dump(mode="json")}
                for event in coalesced(self.events)
            ],
            "trace": [each.model_dump(mode="json") for each in self.trace],
        }
        if self.private:
            value["private"] = dict(self.private)
        if self.finish_reason:
            value["finish_reason"] = self.finish_reason
        return Entry(kind, id_, value)


class Journal:
    """The lines of one turn."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries = {(entry.kind, entry.id): entry.value for entry in entries}

    def done(self, kind: Kind, id_: str) -> Done | None:
        """Return what a finished step or call told; None if it never finished."""
        value: Any = self._entries.get((kind, id_))
        if value is None:
            return None
        return Done(
            tuple(
                DATA_MODELS[each["type"]].model_validate(each["data"]) for each in value["events"]
            ),
            tuple(TraceEntry.model_validate(each) for each in value["trace"]),
            value.get("private", {}),
            value.get("finish_reason", ""),
        )

    def goes_on_after(self, step: str) -> bool:
        """Say whether a later step of the turn ended, so that what it told is still to come."""
        number = _number(step)
        return any(kind == "step" and _number(id_) > number for kind, id_ in self._entries)

    def run_of(self, call: str) -> str:
        """Return the id of a call's newest run.

        A run that only asked is over, and so is one that a person said to repeat: what comes next
        is another one, whose own result may get lost.
        """
        number = 0
        while self._is_over(f"{call}#{number}"):
            number += 1
        return f"{call}#{number}"

    def _is_over(self, run: str) -> bool:
        decided: Any = self._entries.get(("answer", f"{lost(run)}.0"))
        repeated = isinstance(decided, dict) and decided.get("decision") == "retry"
        return repeated or ("asked", run) in self._entries

    def began(self, run: str) -> bool:
        """Say whether a run of a call began in an attempt that died."""
        return ("began", run) in self._entries

    def desk(self, id_: str) -> Desk:
        """Return where a step or call asks, with the answers that are there."""
        return Desk(id_, self.answers, self.expired)

    @property
    def expired(self) -> Collection[str]:
        """Pauses that nobody answered in time."""
        return {id_ for kind, id_ in self._entries if kind == "expired"}

    @property
    def answers(self) -> Mapping[str, Any]:
        """Pause -> what was answered."""
        return {id_: value for (kind, id_), value in self._entries.items() if kind == "answer"}


def _number(step: str) -> int:
    return int(step.rpartition(".")[2])


def lost(run: str) -> str:
    """Return the id under which a person is asked what became of a run of a call."""
    return f"{run}.{UNKNOWN_OUTCOME}"


def coalesced(events: Sequence[EventData]) -> list[EventData]:
    """Return the events with neighbouring deltas of one part merged."""
    buffer = EventBuffer()
    for event in events:
        buffer.add(event)
    return buffer.events()

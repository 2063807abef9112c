"""The rules that a session's hot log must follow, and that log and transcript must agree.  Pure."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from turnline_schemas.event import Event
from turnline_schemas.event_data import AttemptSuperseded, TurnStarted
from turnline_schemas.message import Message
from turnline_workers.interaction.reducer import absorb
from turnline_workers.interaction.state import InteractionState
from turnline_workers.verify.rows import Violation

DENSE = "P6 seq is dense"
TERMINAL = "P6 one terminal event per turn that started"
SUPERSEDED = "P6 a new attempt begins after attempt.superseded"
OUTCOME = "P5 the terminal event tells the stored outcome"
TRANSCRIPT = "P6 replaying the log gives the transcript"


@dataclass(slots=True)
class Replayed:
    """One turn, as an obedient reader of the log has it in the end."""

    superseded: int = 0
    terminals: list[str] = field(default_factory=list)
    state: InteractionState = field(default_factory=InteractionState)

    @property
    def messages(self) -> list[Message]:
        """The turn's messages."""
        return [Message(role=each.role, content=each.content) for each in self.state.messages]


def check_log(
    session: str,
    events: Sequence[Event],
    *,
    top: int,
    outcomes: Mapping[str, str],
    published: Collection[str],
    said: Mapping[str, Sequence[Message]],
) -> Iterator[Violation]:
    """Yield what is wrong with a hot log.

    Args:
        top: the last seq given, as the log's meta says.
        outcomes: turn -> stored outcome, read after the log was.
        published: turns whose terminal event must be in the log, known before it was read.
        said: turn -> its messages in the transcript.
    """
    holes = list(_dense(session, events, top))
    yield from holes
    if holes:
        return  # what is missing would be complained of again in other words
    complaints: list[Violation] = []
    turns = replay(session, events, complaints)
    yield from complaints
    for turn, replayed in turns.items():
        if replayed.terminals or turn in published:
            yield from _ended(session, turn, replayed, outcomes.get(turn), said.get(turn, ()))


def replay(
    session: str, events: Iterable[Event], complaints: list[Violation]
) -> dict[str, Replayed]:
    """Return every turn that begins in ``events``, as a reader that erases dead attempts has it."""
    turns: dict[str, Replayed] = defaultdict(Replayed)
    begun: set[str] = set()
    for event in events:
        turn = event.turn or ""
        replayed = turns[turn]
        match event.data:
            case AttemptSuperseded(attempt=attempt):
                replayed.superseded = attempt
            case TurnStarted():
                if event.attempt > 1 and replayed.superseded != event.attempt - 1:
                    detail = {"turn": turn, "seq": event.seq, "attempt": event.attempt}
                    complaints.append(Violation(SUPERSEDED, session, detail))
                begun.add(turn)
            case _ if event.terminal:
                replayed.terminals.append(event.type.removeprefix("turn."))
        if turn in begun:
            replayed.state = absorb(replayed.state, turn, event.data)
    # A turn whose begin was trimmed away cannot be judged.
    return {turn: turns[turn] for turn in begun}


def _dense(session: str, events: Sequence[Event], top: int) -> Iterator[Violation]:
    for before, after in pairwise(events):
        if after.seq != before.seq + 1:
            yield Violation(DENSE, session, {"seq": before.seq, "next": after.seq})
    if events and events[-1].seq != top:
        yield Violation(DENSE, session, {"seq": events[-1].seq, "top": top})


def _ended(
    session: str, turn: str, replayed: Replayed, outcome: str | None, said: Sequence[Message]
) -> Iterator[Violation]:
    if len(replayed.terminals) != 1:
        yield Violation(TERMINAL, session, {"turn": turn, "terminal_events": replayed.terminals})
    elif replayed.terminals != [outcome]:
        detail = {"turn": turn, "log": replayed.terminals[0], "row": outcome}
        yield Violation(OUTCOME, session, detail)
    elif replayed.messages != list(said):
        yield Violation(
            TRANSCRIPT,
            session,
            {
                "turn": turn,
                "log": [(message.role, len(message.text)) for message in replayed.messages],
                "transcript": [(message.role, len(message.text)) for message in said],
            },
        )

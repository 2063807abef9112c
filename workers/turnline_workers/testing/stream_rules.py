"""What every ``EventStream`` must do.  Each function is one rule, and its name says it.

A rule uses sessions of its own, and compares what a reader at the other end gets.
"""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from typing import Any, Final

from turnline_schemas.event import Event, parse_event
from turnline_workers.testing.expecting import expect, expect_list
from turnline_workers.testing.states import TEXT
from turnline_workers.testing.subjects import OpenStream, StreamUnderTest

MANY: Final = 200
UNREAD: Final = 3_000
"""Events that come while nobody reads: more than a stream has to hold."""

BIG: Final = 300_000
"""Characters of a long text."""

Told = tuple[str, str | None, int, int, str, Any]


async def events_arrive_in_order(open_stream: OpenStream) -> None:
    """All of them, once each."""
    subject, session = await open_stream(), new_session()
    events = deltas(session, MANY)
    for event in events:
        await subject.stream.emit(event)
    await reads(subject, session, events)


async def emit_many_is_as_emit(open_stream: OpenStream) -> None:
    """Whichever of them an event comes by, and nothing at all is allowed."""
    subject, session = await open_stream(), new_session()
    events = deltas(session, 10)
    await subject.stream.emit_many([])
    await subject.stream.emit_many(events[:3])
    await subject.stream.emit(events[3])
    await subject.stream.emit_many(tuple(events[4:9]))
    await subject.stream.emit_many([])
    await subject.stream.emit_many(events[9:])
    await reads(subject, session, events)


async def events_arrive_unchanged(open_stream: OpenStream) -> None:
    """Envelope and data: Unicode, nested values, types that nobody knows, events of no turn."""
    subject, session = await open_stream(), new_session()
    told: list[tuple[str | None, int, str, dict[str, Any]]] = [
        (None, 0, "session.noted", {"any": {"deep": [1, 2.5, None, TEXT]}}),
        ("t-1", 1, "turn.started", started("t-1")),
        ("t-1", 1, "text.delta", {"part": "t-1.1.0", "delta": TEXT}),
        ("t-1", 1, "text.delta", {"part": "t-1.1.0", "delta": "\r\n\n\ndata: x\n\nid: 1:1\n\n"}),
        ("t-1", 1, "future.type", {"": [], "text": TEXT}),
        ("t-1", 2, "attempt.superseded", {"attempt": 1, "reason": "handed_over"}),
        ("t-1", 2, "turn.completed", {"finish_reason": "stop", "usage": {"input": 1, "output": 2}}),
    ]
    events = [
        an_event(session, seq, type_, data, turn=turn, attempt=attempt)
        for seq, (turn, attempt, type_, data) in enumerate(told, start=1)
    ]
    await subject.stream.emit_many(events)
    await reads(subject, session, events)


async def a_big_event_arrives_whole(open_stream: OpenStream) -> None:
    """More than any buffer on the way."""
    subject, session = await open_stream(), new_session()
    text = "x" * BIG + TEXT
    events = [
        an_event(session, seq, "text.delta", {"part": "t-1.1.0", "delta": text}) for seq in (1, 2)
    ]
    await subject.stream.emit_many(events)
    await reads(subject, session, events)


async def turns_follow_one_another(open_stream: OpenStream) -> None:
    """The next attempt and the next turn of a session go on behind the last one."""
    subject, session = await open_stream(), new_session()
    runs = [run for run in (("t-1", 1), ("t-1", 2), ("t-2", 1)) for _ in range(3)]
    events = [
        an_event(session, seq, "text.started", {"part": "p"}, turn=turn, attempt=attempt)
        for seq, (turn, attempt) in enumerate(runs, start=1)
    ]
    for event in events:
        await subject.stream.emit(event)
    await reads(subject, session, events)


async def numbers_may_begin_anew(open_stream: OpenStream) -> None:
    """A turn that no store took is followed by one with the same numbers, which arrives too."""
    subject, session = await open_stream(), new_session()
    runs = [("t-1", seq) for seq in range(1, 5)] + [("t-2", seq) for seq in range(1, 5)]
    events = [
        an_event(session, seq, "text.started", {"part": "p"}, turn=turn) for turn, seq in runs
    ]
    for event in events:
        await subject.stream.emit(event)
    await reads(subject, session, events)


async def what_was_emitted_is_the_callers_no_more(open_stream: OpenStream) -> None:
    """A list that is used again for other events changes nothing that was emitted."""
    subject, session = await open_stream(), new_session()
    events = deltas(session, 20)
    reused = events[:10]
    await subject.stream.emit_many(reused)
    reused[:] = events[10:]
    await subject.stream.emit_many(reused)
    reused[:] = deltas(new_session(), 3)
    await reads(subject, session, events)


async def nothing_is_lost_unsaid(open_stream: OpenStream) -> None:
    """Of more events than wait for a reader, all arrive, or all until ``emit`` raised."""
    subject, session = await open_stream(), new_session()
    events = deltas(session, UNREAD)
    taken = 0
    try:
        for event in events:
            await subject.stream.emit(event)
            taken += 1
    except Exception as error:
        if not taken:
            raise AssertionError("the first event was refused") from error
    # The first one alone, because a reader that waits for one that was lost never says which.
    for number in (1, taken):
        found = list(await subject.read(session, number))[:number]
        expect_list("event", [_told(each) for each in found], [_told(e) for e in events[:number]])


async def sessions_do_not_mix(open_stream: OpenStream) -> None:
    """Each reader gets its own session's events, however they take turns."""
    subject, base = await open_stream(), new_session()
    sessions = [base, f"{base}:a", f"{base}.A"]
    events = {session: deltas(session, 20) for session in sessions}
    for together in zip(*events.values(), strict=True):
        await subject.stream.emit_many(together)
    for session in sessions:
        await reads(subject, session, events[session])


StreamRule = Callable[[OpenStream], Awaitable[None]]

STREAM_RULES: Final[Sequence[StreamRule]] = (
    events_arrive_in_order,
    emit_many_is_as_emit,
    events_arrive_unchanged,
    a_big_event_arrives_whole,
    turns_follow_one_another,
    numbers_may_begin_anew,
    what_was_emitted_is_the_callers_no_more,
    nothing_is_lost_unsaid,
    sessions_do_not_mix,
)
"""All rules, the basic ones first."""


def new_session() -> str:
    """Return an id that nobody else has."""
    return f"turnline-testing-{secrets.token_hex(6)}"


def an_event(
    session: str,
    seq: int,
    type_: str,
    data: dict[str, Any],
    *,
    turn: str | None = "t-1",
    attempt: int = 1,
) -> Event:
    """Return an event of that type."""
    envelope = {"seq": seq, "session": session, "turn": turn, "attempt": attempt}
    return parse_event({**envelope, "ts": 1_700_000_000_000 + seq, "type": type_, "data": data})


def deltas(session: str, number: int) -> list[Event]:
    """Return so many pieces of text."""
    return [
        an_event(session, seq, "text.delta", {"part": "t-1.1.0", "delta": f"{seq} "})
        for seq in range(1, number + 1)
    ]


def started(turn: str) -> dict[str, Any]:
    """Return what ``turn.started`` says."""
    said = {"role": "user", "content": {"text": TEXT, "parts": [{"type": "text", "text": TEXT}]}}
    return {"message_id": f"msg_{turn}", "assistant": "a", "model": "m", "input": said}


async def reads(subject: StreamUnderTest, session: str, emitted: Sequence[Event]) -> None:
    """Fail unless a reader gets what was emitted; one more event shows that nothing else came."""
    last = an_event(session, emitted[-1].seq + 1, "testing.end", {}, turn=None, attempt=0)
    await subject.stream.emit(last)
    wanted = [*emitted, last]
    found = list(await subject.read(session, len(wanted)))
    expect_list("event", [_told(event) for event in found], [_told(event) for event in wanted])
    if grows(emitted):
        expect("whether seq grows", grows(found), True)


def grows(events: Sequence[Event]) -> bool:
    """Say whether each event has a higher number than the one before it."""
    return all(one.seq < two.seq for one, two in pairwise(events))


def _told(event: Event) -> Told:
    """Return what the stream may not change; it may number events itself."""
    data = event.data.model_dump(mode="json")
    return (event.session, event.turn, event.attempt, event.ts, event.type, data)

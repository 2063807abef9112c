"""The laws of the reducer, for any turn and any way in which its events arrive."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from turnline_schemas.event import Event
from turnline_schemas.event_data import (
    EVENT_TYPES,
    AttemptSuperseded,
    EventData,
    MessageAdded,
    ReasoningDelta,
    ReasoningStarted,
    SourceAdded,
    StepCompleted,
    StepStarted,
    TextDelta,
    TextStarted,
    ToolDelta,
    ToolReady,
    ToolResult,
    ToolStarted,
    TurnCancelled,
    TurnCompleted,
    TurnFailed,
    TurnStarted,
)
from turnline_schemas.message import Message
from turnline_workers.interaction.reducer import absorb, reduce_all
from turnline_workers.interaction.state import InteractionState

HELLO = Message(role="user", content="Hello!")
EARLIER = InteractionState().appended("before", HELLO, Message(role="assistant", content="Hi"))
STARTED = TurnStarted(message_id="msg_t", assistant="a", model="m", input=HELLO)

pieces = st.lists(st.text("abc \n", min_size=1, max_size=4), max_size=4)


@st.composite
def streams(draw: st.DrawFn, number: int) -> list[EventData]:
    """Return all that one step says: parts in any order, calls with their results, sources."""
    step = f"t.{number}"
    events: list[EventData] = [StepStarted(step=step, name="run-model")]
    calls = []
    for index, kind in enumerate(draw(st.lists(st.sampled_from("trcs"), max_size=4))):
        part, deltas = f"{step}.{index}", draw(pieces)
        if kind == "t":
            events.append(TextStarted(part=part))
            events += [TextDelta(part=part, delta=delta) for delta in deltas]
        elif kind == "r":
            events.append(ReasoningStarted(part=part))
            events += [ReasoningDelta(part=part, delta=delta) for delta in deltas]
        elif kind == "c":
            events.append(ToolStarted(call=part, name="look"))
            events += [ToolDelta(call=part, delta=delta) for delta in deltas]
            if draw(st.booleans()):
                events.append(ToolReady(call=part, name="look", arguments={"n": index}))
                calls.append(part)
        else:
            events.append(SourceAdded(source=part, title="A page", text="".join(deltas)))
    events.append(StepCompleted(step=step, name="run-model"))
    events += [ToolResult(call=call, name="look", output="seen") for call in calls]
    return events


@st.composite
def turns(draw: st.DrawFn) -> list[list[EventData]]:
    """Return the streams of one turn."""
    return [draw(streams(number)) for number in range(1, 1 + draw(st.integers(1, 3)))]


def numbered(events: Sequence[EventData]) -> list[Event]:
    """Give the events their place in the log."""
    return [
        Event(seq=seq, session="s", turn="t", ts=0, type=EVENT_TYPES[type(data)], data=data)
        for seq, data in enumerate(events, start=1)
    ]


@st.composite
def interleaved(draw: st.DrawFn, each: list[list[EventData]]) -> list[EventData]:
    """Return the events of several streams in one order that keeps that of each stream."""
    left = [list(stream) for stream in each if stream]
    merged = []
    while left:
        chosen = draw(st.sampled_from(left))
        merged.append(chosen.pop(0))
        left = [stream for stream in left if stream]
    return merged


@given(turn=turns(), data=st.data())
def test_every_interleaving_of_the_streams_of_a_turn_gives_the_same_state(
    turn: list[list[EventData]], data: st.DataObject
) -> None:
    one, other = (data.draw(interleaved(turn)) for _ in range(2))

    assert reduce_all(EARLIER, numbered([STARTED, *one, TurnCompleted()])) == reduce_all(
        EARLIER, numbered([STARTED, *other, TurnCompleted()])
    )


@given(turn=turns(), data=st.data())
def test_replaying_any_part_of_what_is_known_changes_nothing(
    turn: list[list[EventData]], data: st.DataObject
) -> None:
    events = numbered([STARTED, *[each for stream in turn for each in stream], TurnCompleted()])
    known = data.draw(st.integers(0, len(events)))
    again = data.draw(st.integers(0, known))

    once = reduce_all(EARLIER, events)

    assert reduce_all(reduce_all(EARLIER, events[:known]), events[again:]) == once
    assert reduce_all(once, data.draw(st.permutations(events))) == once


@given(turn=turns(), data=st.data())
def test_a_superseded_attempt_leaves_nothing(
    turn: list[list[EventData]], data: st.DataObject
) -> None:
    whole = [STARTED, *[each for stream in turn for each in stream], TurnCompleted()]
    died = whole[: data.draw(st.integers(0, len(whole) - 1))]

    state = reduce_all(EARLIER, numbered([*died, AttemptSuperseded(attempt=1, reason="x"), *whole]))
    straight = reduce_all(EARLIER, numbered(whole))

    assert contents(state) == contents(straight)


@given(turn=turns(), data=st.data())
def test_indexes_are_dense_and_what_was_there_before_stays(
    turn: list[list[EventData]], data: st.DataObject
) -> None:
    events = data.draw(interleaved(turn))
    state = EARLIER
    for event in [STARTED, *events]:
        state = absorb(state, "t", event)
        indexes = [message.index for message in state.messages]
        assert indexes == list(range(1, len(indexes) + 1))
        assert state.next_index == len(indexes) + 1
        assert state.messages[:2] == EARLIER.messages


def test_an_error_keeps_what_was_said_as_a_partial_message_and_a_diagnostic() -> None:
    events = [
        STARTED,
        StepStarted(step="t.1", name="run-model"),
        TextStarted(part="t.1.0"),
        TextDelta(part="t.1.0", delta="Half an "),
        ToolStarted(call="t.1.1", name="look"),
        ToolDelta(call="t.1.1", delta='{"n":'),
        TurnFailed(code="model_error", message="gone"),
    ]

    state = reduce_all(EARLIER, numbered(events))

    assert [message.text for message in state.messages[2:]] == ["Hello!", "Half an "]
    assert [each.code for each in state.diagnostics] == ["model_error"]
    assert not state.progress.streams


def test_a_turn_that_ends_while_another_is_played_does_not_disturb_it() -> None:
    state = absorb(EARLIER, "t", STARTED)
    state = absorb(state, "t", TextDelta(part="t.1.0", delta="so far"))

    state = absorb(state, "other", TurnCancelled(reason="changed my mind"))
    state = absorb(state, "t", TurnCompleted())

    assert [message.text for message in state.messages[2:]] == ["Hello!", "so far"]


def test_messages_of_steps_stand_where_their_steps_stand() -> None:
    note = Message(role="system", content="note")
    state = absorb(EARLIER, "t", STARTED)
    for event in (
        TextDelta(part="t.3.0", delta="last"),
        StepCompleted(step="t.3", name="run-model"),
        MessageAdded(id="t.2.0", message=note),
    ):
        state = absorb(state, "t", event)

    assert [message.text for message in state.messages[2:]] == ["Hello!", "note", "last"]


def contents(state: InteractionState) -> list[tuple[Any, ...]]:
    """What the state says, without where the log stood."""
    return [(each.index, each.role, each.turn, each.content) for each in state.messages]

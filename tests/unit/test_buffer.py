"""Coalescing keeps every character, in order."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from turnline_schemas.event_data import (
    EventData,
    ReasoningDelta,
    TextCompleted,
    TextDelta,
    TextStarted,
)
from turnline_workers.interaction.buffer import EventBuffer

PARTS = st.sampled_from(["t.1.0", "t.1.1"])
EVENTS = st.one_of(
    st.builds(TextDelta, part=PARTS, delta=st.text(min_size=1)),
    st.builds(ReasoningDelta, part=PARTS, delta=st.text(min_size=1)),
    st.builds(TextStarted, part=PARTS),
    st.builds(TextCompleted, part=PARTS),
)


def spelled(events: list[EventData]) -> list[tuple[type, str, str]]:
    """Return the events with each delta taken apart into characters."""
    return [
        (type(event), event.part, char)  # type: ignore[attr-defined]
        for event in events
        for char in getattr(event, "delta", "-")
    ]


@given(events=st.lists(EVENTS, max_size=30))
def test_what_goes_in_comes_out_in_order(events: list[EventData]) -> None:
    buffer = EventBuffer()
    for event in events:
        buffer.add(event)

    assert spelled(buffer.events()) == spelled(events)
    assert spelled(buffer.drain()) == spelled(events)
    assert len(buffer) == 0


@given(events=st.lists(EVENTS, max_size=30))
def test_neighbouring_deltas_of_one_part_become_one_event(events: list[EventData]) -> None:
    buffer = EventBuffer()
    for event in events:
        buffer.add(event)

    merged = buffer.events()

    for one, other in pairwise(merged):
        both_deltas = type(one) is type(other) and isinstance(one, TextDelta)
        assert not (both_deltas and one.part == other.part)  # type: ignore[attr-defined]

"""From events to state.  Pure, and the one place that knows how messages come about.

The worker uses it while it plays, ``turnline verify`` to replay a log, and any reader may.

The messages of a turn stand in the order of the ids that events derive (``<turn>.<step>.<index>``)
and not in that of arrival: however the streams of a turn are interleaved, the state is the same.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from turnline_schemas.event import Event
from turnline_schemas.event_data import (
    AttemptSuperseded,
    Diagnostic,
    EventData,
    MessageAdded,
    ReasoningDelta,
    ReasoningStarted,
    SourceAdded,
    StepCompleted,
    StepReset,
    StepStarted,
    TextDelta,
    TextStarted,
    ToolDelta,
    ToolReady,
    ToolResult,
    ToolStarted,
    Trace,
    TurnCancelled,
    TurnCompleted,
    TurnDead,
    TurnFailed,
    TurnStarted,
)
from turnline_schemas.message import Content, Message, Part
from turnline_workers.interaction.parts import call_of, parts_of, result_part
from turnline_workers.interaction.state import InteractionState, ViewMessage
from turnline_workers.interaction.streams import Place, Stream, TurnProgress

ENDS: Final = (TurnCompleted, TurnFailed, TurnCancelled, TurnDead)


def reduce(state: InteractionState, event: Event) -> InteractionState:
    """Return the state after ``event``; one that is not newer than the last changes nothing."""
    if event.seq <= state.last_seq:
        return state
    return replace(absorb(state, event.turn or "", event.data), last_seq=event.seq)


def reduce_all(state: InteractionState, events: Iterable[Event]) -> InteractionState:
    """Return the state after all of ``events``."""
    for event in events:
        state = reduce(state, event)
    return state


def absorb(state: InteractionState, turn: str, data: EventData) -> InteractionState:
    """Return the state after an event that has no number yet."""
    match data:
        case TurnStarted(input=said):
            begun = replace(_without(state, turn), diagnostics=(), trace=())
            return _placed(begun, turn, (0, 0), said)
        case AttemptSuperseded():
            return replace(_without(state, turn), diagnostics=(), trace=())
        case MessageAdded(id=id_, message=message):
            return _placed(state, turn, place_of(id_), message)
        case ToolResult():
            return _with_result(state, turn, data)
        case StepCompleted(step=step):
            return _flushed(state, turn, step)
        case _ if isinstance(data, ENDS):
            return closed(_noted(state, data), turn)
        case _:
            return _streamed(_noted(state, data), turn, data)


def _noted(state: InteractionState, data: EventData) -> InteractionState:
    """Keep what is worth knowing beside the conversation."""
    match data:
        case Diagnostic():
            return replace(state, diagnostics=(*state.diagnostics, data))
        case TurnFailed(code=code, message=text):
            told = Diagnostic(code=code, message=text)
            return replace(state, diagnostics=(*state.diagnostics, told))
        case Trace(entries=entries):
            return replace(state, trace=entries)
        case _:
            return state


def place_of(id_: str) -> Place:
    """Return the place in its turn that a derived id ``<turn>.<step>.<index>`` names."""
    _, step, index = id_.rsplit(".", 2)
    return int(step), int(index)


def _streamed(state: InteractionState, turn: str, data: EventData) -> InteractionState:
    """Feed the stream of the step that ``data`` belongs to; other events carry no content."""
    match data:
        case StepReset(step=step):
            progress = state.progress_of(turn)
            return state.with_progress(turn, progress.without_stream(step))
        case StepStarted(step=step):
            pass
        case TextStarted(part=part) | TextDelta(part=part):
            step = part.rpartition(".")[0]
        case ToolStarted(call=call) | ToolDelta(call=call) | ToolReady(call=call):
            step = call.rpartition(".")[0]
        case SourceAdded(source=source):
            step = source.rpartition(".")[0]
        case _:
            return state
    progress = state.progress_of(turn)
    stream = progress.streams.get(step, Stream())
    return state.with_progress(turn, progress.with_stream(step, _fed(stream, data)))


def _fed(stream: Stream, data: EventData) -> Stream:
    match data:
        case ReasoningStarted(part=part):
            return stream.begun(part, "reasoning")
        case TextStarted(part=part):
            return stream.begun(part, "text")
        case ReasoningDelta(part=part, delta=delta):
            return stream.grown(part, "reasoning", delta)
        case TextDelta(part=part, delta=delta):
            return stream.grown(part, "text", delta)
        case ToolStarted(call=call, name=name):
            return stream.begun(call, "tool-call", name=name)
        case ToolDelta(call=call, delta=delta):
            return stream.grown(call, "tool-call", delta)
        case ToolReady(call=call, name=name, arguments=arguments):
            return stream.called(call, name, arguments)
        case SourceAdded():
            return replace(stream, sources=(*stream.sources, data))
        case _:
            return stream


def _flushed(state: InteractionState, turn: str, step: str) -> InteractionState:
    """Close a stream: what it holds becomes messages."""
    progress = state.progress_of(turn)
    stream = progress.streams.get(step)
    if stream is None:
        return state
    state = state.with_progress(turn, progress.without_stream(step))
    number = int(step.rpartition(".")[2])
    for index, message in enumerate((stream.answer(), stream.found())):
        if message is not None:
            state = _placed(state, turn, (number, index), message)
    return state


def _with_result(state: InteractionState, turn: str, data: ToolResult) -> InteractionState:
    """Put a result into the tool message that answers the calls of one step."""
    place = (place_of(data.call)[0], RESULTS)
    part = result_part(data.call, data.name, data.output, is_error=data.is_error)
    known = [each for each in _parts_at(state, turn, place) if call_of(each) != data.call]
    parts = sorted([*known, part], key=lambda each: place_of(call_of(each)))
    return _placed(state, turn, place, Message(role="tool", content=Content(parts=tuple(parts))))


RESULTS: Final = 1_000_000
"""Index of the message with a step's tool results: behind all that the step itself said."""


def _parts_at(state: InteractionState, turn: str, place: Place) -> tuple[Part, ...]:
    places = state.progress_of(turn).places
    if place not in places:
        return ()
    return parts_of(state.messages[len(state.messages) - len(places) + places.index(place)])


def _placed(state: InteractionState, turn: str, place: Place, message: Message) -> InteractionState:
    """Put a message at its place in its turn, the newest; one that is there is replaced."""
    progress = state.progress_of(turn)
    before = len(state.messages) - len(progress.places)
    at = dict(zip(progress.places, state.messages[before:], strict=True))
    base = state.next_index - len(progress.places)
    at[place] = ViewMessage(role=message.role, content=message.content, turn=turn)
    places = tuple(sorted(at))
    placed = tuple(
        at[each].model_copy(update={"index": base + number}) for number, each in enumerate(places)
    )
    state = replace(
        state,
        messages=(*state.messages[:before], *placed),
        next_index=base + len(placed),
    )
    return state.with_progress(turn, replace(progress, places=places))


def _without(state: InteractionState, turn: str) -> InteractionState:
    """Erase what an earlier attempt showed of ``turn``."""
    kept = len(state.messages) - len(state.progress_of(turn).places)
    return replace(
        state,
        messages=state.messages[:kept],
        next_index=state.next_index - (len(state.messages) - kept),
        progress=TurnProgress(turn),
    )


def closed(state: InteractionState, turn: str, *, keep_turn: bool = False) -> InteractionState:
    """Close every stream of the turn; half an answer is kept as half an answer.

    Args:
        keep_turn: the turn itself goes on.
    """
    for step in sorted(state.progress_of(turn).streams, key=lambda each: int(each.split(".")[-1])):
        state = _flushed(state, turn, step)
    # A turn that was cancelled while it waited ends beside the one that is played.
    ends = state.progress.turn == turn and not keep_turn
    return replace(state, progress=TurnProgress()) if ends else state

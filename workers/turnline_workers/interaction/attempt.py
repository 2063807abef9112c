"""One attempt at a turn: which step comes next, and what the steps have made of the turn so far."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace

from turnline_schemas.event_data import (
    Diagnostic,
    EventData,
    StepCompleted,
    StepReset,
    StepStarted,
    ToolResult,
    Trace,
    TraceEntry,
    Usage,
)
from turnline_schemas.message import Message
from turnline_workers.errors import (
    ContextOverflowError,
    ModelError,
    PlayError,
    StepBudgetError,
    StepError,
)
from turnline_workers.interaction.assistant import Assistant
from turnline_workers.interaction.foreign import in_words, was_cancelled
from turnline_workers.interaction.journal import Done, Entry, Record
from turnline_workers.interaction.outcome import Completed
from turnline_workers.interaction.pipeline import PlannedStep
from turnline_workers.interaction.raw import with_raw
from turnline_workers.interaction.reducer import absorb, closed
from turnline_workers.interaction.run_step import run_step
from turnline_workers.interaction.run_tools import pending
from turnline_workers.interaction.state import InteractionState, TurnState
from turnline_workers.interaction.tools import failure
from turnline_workers.interaction.usage import minus, plus


class Attempt:
    """One attempt, as far as it got."""

    def __init__(
        self, assistant: Assistant, turn: TurnState, cancelled: Callable[[], str | None]
    ) -> None:
        self._cancelled = cancelled
        self._assistant = assistant
        self._before = turn.state
        self._turn = turn
        self._entries: list[Entry] = []
        self._trace: list[TraceEntry] = []
        self._has_shrunk = False
        self.untold: tuple[Diagnostic, ...] = ()
        """What policies had to say."""

    @property
    def trace(self) -> tuple[TraceEntry, ...]:
        """What took how long, so far."""
        return tuple(self._trace)

    @property
    def unrecorded(self) -> bool:
        """Whether steps ended that are not on record yet."""
        return bool(self._entries)

    def tell(self, event: EventData) -> EventData:
        """Let the state know ``event``, and return it."""
        state = absorb(self._turn.state, self._turn.turn, event)
        self._turn = replace(self._turn, state=state)
        return event

    def record(self, *more: Entry) -> Record:
        """Return what must be on disk before anything more is done."""
        entries, self._entries = (*self._entries, *more), []
        return Record(entries)

    def traced(self) -> EventData:
        """Return the event that tells what the turn spent its time on."""
        return self.tell(Trace(entries=self.trace))

    async def steps(self) -> AsyncGenerator[EventData | Record]:
        """Run the plan, looping where it says so."""
        place, number, loops = 0, 0, 0
        plan = self._assistant.steps
        while place < len(plan):
            step = plan[place]
            place += 1
            if not self._wanted(step):
                continue
            id_ = f"{self._turn.turn}.{number}"
            try:
                async with aclosing(self._step(step, id_)) as items:
                    async for item in items:
                        yield item
            except ContextOverflowError:
                if not await self._shrunk():
                    raise
                yield self.tell(StepReset(step=id_, reason=ContextOverflowError.code))
                place -= 1
                continue
            number += 1
            if step.loops_to is not None:
                place, loops = step.loops_to, loops + 1
                if loops >= self._assistant.max_model_calls:
                    raise StepBudgetError(loops)

    def _wanted(self, step: PlannedStep) -> bool:
        try:
            return step.step.when is None or step.step.when(self._turn)
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            raise StepError(step.name, in_words(error)) from error

    async def _shrunk(self) -> bool:
        """Summarize what was said before the turn, once; say whether that was possible."""
        policies = self._assistant.shaping
        if self._has_shrunk or not policies.can_summarize:
            return False
        self._has_shrunk = True
        own = self._turn.messages
        refused = replace(self._before, overflowed=True)
        shorter = await _shaped(policies.summarized(refused))
        self._before = replace(shorter, overflowed=False)
        kept = self._before.appended(self._turn.turn, *own)
        told = self._turn.state
        state = replace(told, messages=kept.messages, next_index=kept.next_index)
        self._turn = replace(self._turn, state=state)
        return True

    async def _step(self, step: PlannedStep, id_: str) -> AsyncGenerator[EventData | Record]:
        done = self._turn.run.journal.done("step", id_)
        if done is not None:
            for event in self._again(done):
                yield event
            return
        if self._cancelled() is not None and not self._turn.run.journal.goes_on_after(id_):
            raise asyncio.CancelledError
        async with aclosing(self._first_time(step, id_)) as items:
            async for item in items:
                yield item

    async def _first_time(self, step: PlannedStep, id_: str) -> AsyncGenerator[EventData | Record]:
        if self._entries:
            yield self.record()
        begin, before, told = self._turn.run.clock(), self._turn, list[EventData]()
        self._turn = replace(before, desk=before.run.journal.desk(id_))
        if step.step.announced:
            told.append(self.tell(StepStarted(step=id_, name=step.name)))
            yield told[-1]
        recorded, traced = False, len(self._trace)
        try:
            async with aclosing(run_step(step, self._turn, id_, self._changed)) as items:
                async for item in items:
                    if isinstance(item, Record):
                        recorded = True
                        yield self.record(*item.entries)
                    elif isinstance(item, TraceEntry):
                        self._trace.append(item)
                    else:
                        told.append(self.tell(item))
                        yield item
        except PlayError as error:
            self._took(step, id_, begin, error=error.code)
            raise
        if step.step.announced:
            told.append(self.tell(self._ending(step, id_, before)))
            yield told[-1]
        self._took(step, id_, begin)
        if step.step.journaled and not recorded:
            done = self._done(told, self._trace[traced:], before)
            self._entries.append(done.entry("step", id_))

    def _changed(self, turn: TurnState) -> None:
        """Take over what a step made of the turn; what it said is told by events."""
        told = self._turn.state
        state = replace(told, private=turn.state.private)
        self._turn = replace(
            self._turn, state=state, usage=turn.usage, finish_reason=turn.finish_reason
        )

    def _again(self, done: Done) -> Iterator[EventData]:
        """Tell again what a step told that an earlier attempt ran."""
        for event in done.events:
            if isinstance(event, StepCompleted) and event.usage is not None:
                usage = plus(self._turn.usage, event.usage)
                self._turn = replace(self._turn, usage=usage)
            yield self.tell(event)
        self._trace.extend(done.trace)
        self._turn = self._turn.keeping(**done.private)
        if done.finish_reason:
            self._turn = replace(self._turn, finish_reason=done.finish_reason)

    def _ending(self, step: PlannedStep, id_: str, before: TurnState) -> StepCompleted:
        used = minus(self._turn.usage, before.usage)
        called = self._turn.finish_reason if used != Usage() or self._called(before) else None
        return StepCompleted(
            step=id_, name=step.name, finish_reason=called, usage=used if called else None
        )

    def _called(self, before: TurnState) -> bool:
        return self._turn.finish_reason != before.finish_reason

    def _took(self, step: PlannedStep, id_: str, begin: float, error: str | None = None) -> None:
        took = round((self._turn.run.clock() - begin) * 1000)
        entry = TraceEntry(kind="step", id=id_, name=step.name, duration_ms=took, error=error)
        self._trace.append(entry)

    def _done(self, told: list[EventData], trace: Sequence[TraceEntry], before: TurnState) -> Done:
        private = self._turn.state.private
        changed = {
            key: value for key, value in private.items() if before.state.private.get(key) != value
        }
        return Done(tuple(told), tuple(trace), changed, self._turn.finish_reason)

    async def completed(self) -> Completed:
        """Return the outcome of a turn whose steps all ran, once its policies did."""
        messages = self._said()
        new = replace(closed(self._turn.state, self._turn.turn), trace=self.trace)
        state = await _shaped(self._assistant.shaping.apply(self._before, new))
        self.untold = state.diagnostics[len(new.diagnostics) :]
        # Policies shape the view; where the transcript ends is not theirs to say.
        state = replace(state, next_index=new.next_index, trace=self.trace)
        reason = self._turn.finish_reason or "stop"
        return Completed(messages, state, self._turn.usage, reason, self.trace)

    def _said(self) -> tuple[Message, ...]:
        """Return what the turn adds to the transcript, without its place in the view."""
        return tuple(Message(role=each.role, content=each.content) for each in self._turn.messages)

    def broken_off(self, why: str) -> Iterator[EventData]:
        """Close what is open: streams become partial messages, calls get results that say so."""
        state = closed(self._turn.state, self._turn.turn, keep_turn=True)
        self._turn = replace(self._turn, state=state)
        for call in pending(self._turn):
            output = failure("interrupted", f"the turn ended before the call did: {why}")
            yield self.tell(ToolResult(call=call.id, name=call.name, output=output, is_error=True))
        if self._trace:
            yield self.traced()

    def partial(
        self, error: PlayError | None = None
    ) -> tuple[tuple[Message, ...], InteractionState]:
        """Return what the transcript keeps of a turn that did not complete.

        The view grows by that and nothing else: no policy runs, private changes are dropped, but
        for what a provider said when it failed.
        """
        messages = self._said() or (self._turn.input,)
        state = self._before.appended(self._turn.turn, *messages)
        if isinstance(error, ModelError):
            said = {"code": error.code, "message": str(error), "raw": error.raw}
            state = with_raw(state, self._assistant.adapter.name, error=said)
        told = self._turn.state.diagnostics
        return messages, replace(state, diagnostics=told, trace=self.trace)


async def _shaped(policies: Awaitable[InteractionState]) -> InteractionState:
    """Return what policies make of a state; a user's may raise anything."""
    try:
        return await policies
    except asyncio.CancelledError as error:
        if was_cancelled():
            raise
        raise StepError("policies", in_words(error)) from error
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        raise StepError("policies", in_words(error)) from error

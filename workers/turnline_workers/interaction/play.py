"""Play one turn: state and message in; events, and one outcome, out.

Nothing is stored or published here.  The caller pulls events as fast as it can publish them,
so a slow reader slows the model and not the memory.
"""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, cast

from turnline_schemas.event import EventData, TurnStarted, Usage
from turnline_schemas.message import Message
from turnline_workers.errors import PlayError, StepError
from turnline_workers.interaction.assemble import Assembler
from turnline_workers.interaction.assistant import Assistant
from turnline_workers.interaction.pipeline import PlannedStep
from turnline_workers.interaction.state import InteractionState, TurnState


@dataclass(frozen=True, slots=True)
class Completed:
    """The turn ended well; ``state`` is what the policies made of it."""

    messages: tuple[Message, ...]
    state: InteractionState
    usage: Usage
    finish_reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The turn ended in an error; ``messages`` is what there was until then."""

    messages: tuple[Message, ...]
    state: InteractionState
    code: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The turn was cancelled; ``messages`` is what there was until then."""

    messages: tuple[Message, ...]
    state: InteractionState
    reason: str


Outcome = Completed | Failed | Cancelled


async def play(
    assistant: Assistant,
    turn: TurnState,
    *,
    cancelled: Callable[[], str | None] = lambda: None,
) -> AsyncGenerator[EventData | Outcome]:
    """Yield the events of ``turn`` and, last, its outcome.

    A ``CancelledError`` that reaches the play ends the turn as ``Cancelled`` if ``cancelled``
    gives a reason, and is passed on if it does not: then the attempt is given up.

    Args:
        cancelled: the reason why the turn was cancelled, or None if nobody asked for that.
    """
    before, answer = turn, Assembler()
    try:
        yield started(turn, assistant.name, model=assistant.model.name)
        for step in assistant.steps:
            answer = Assembler()
            # Closed by hand, so that a provider's stream ends with the turn, not with the garbage.
            async with aclosing(_run(step, turn)) as items:
                async for item in items:
                    if isinstance(item, TurnState):
                        turn = item
                        continue
                    answer.feed(item)
                    yield item
        yield await _completed(assistant, before, turn)
    except asyncio.CancelledError:
        reason = cancelled()
        if reason is None:
            raise
        messages = _partial(turn, answer)
        yield Cancelled(messages, before.state.appended(turn.turn, *messages), reason)
    except PlayError as error:
        messages = _partial(turn, answer)
        state = before.state.appended(turn.turn, *messages)
        yield Failed(messages, state, error.code, str(error), error.retryable)


def started(turn: TurnState, assistant: str, *, model: str) -> TurnStarted:
    """Return the event that begins an attempt at ``turn``."""
    return TurnStarted(
        message_id=f"msg_{turn.turn}", assistant=assistant, model=model, input=turn.input
    )


async def _completed(assistant: Assistant, before: TurnState, turn: TurnState) -> Completed:
    new = replace(turn.state.appended(turn.turn, *turn.messages), private=turn.state.private)
    try:
        state = await assistant.policies.apply(before.state, new)
        if not isinstance(state, InteractionState):
            raise TypeError(f"a policy returned {type(state).__name__}, not InteractionState")
    except Exception as error:  # a user's policy may raise anything
        raise StepError("policies", error) from error
    # Policies shape the view; where the transcript ends is not theirs to say.
    state = replace(state, next_index=new.next_index)
    return Completed(turn.messages, state, turn.usage, turn.finish_reason)


def _partial(turn: TurnState, answer: Assembler) -> tuple[Message, ...]:
    """Return what the transcript keeps of a turn that did not complete.

    The user's message is kept even if the first step failed; of the answer, exactly what was
    streamed, so that the transcript equals what followers saw.
    """
    messages = turn.messages or (turn.input,)
    streamed = answer.message()
    if streamed is None or streamed in messages:
        return messages
    return (*messages, streamed)


async def _run(step: PlannedStep, turn: TurnState) -> AsyncGenerator[EventData | TurnState]:
    """Run one step of any kind: streaming, coroutine, or plain function in a thread."""
    try:
        if inspect.isasyncgenfunction(step.run):
            async with aclosing(step.run(turn)) as items:
                async for item in items:
                    yield item
        elif inspect.iscoroutinefunction(step.run):
            yield _checked(await step.run(turn))
        else:
            yield _checked(await asyncio.to_thread(cast("Callable[..., Any]", step.run), turn))
    except PlayError:
        raise
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        # A user's step may raise anything; sys.exit() in it must not end the worker's loop.
        raise StepError(step.name, error) from error


def _checked(result: object) -> TurnState:
    if not isinstance(result, TurnState):
        raise TypeError(f"it returned {type(result).__name__}, not TurnState")
    return result

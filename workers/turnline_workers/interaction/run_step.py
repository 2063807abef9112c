"""Run one step of any kind: streaming, coroutine, or plain function in a thread."""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from turnline_schemas.event_data import EventData, MessageAdded, TraceEntry
from turnline_schemas.storable import check_storable
from turnline_workers.errors import PlayError, StepError
from turnline_workers.interaction.foreign import called, in_words, pause_in, was_cancelled
from turnline_workers.interaction.journal import Record
from turnline_workers.interaction.pipeline import PlannedStep
from turnline_workers.interaction.state import TurnState

StepItem = EventData | Record | TraceEntry


async def run_step(
    step: PlannedStep, turn: TurnState, id_: str, changed: Callable[[TurnState], None]
) -> AsyncGenerator[StepItem]:
    """Yield what the step tells; messages that it adds become events.

    Args:
        changed: given the turn as the step returns or yields it.

    Raises:
        StepError: the step raised, or returned something else than the turn.
        PlayError: as the step raised it.
    """
    added = 0
    try:
        async with aclosing(_items(step, turn)) as items:
            async for item in items:
                if not isinstance(item, TurnState):
                    yield _told(item, step)
                    continue
                changed(replace(item, added=()))
                for message in item.added[added:]:
                    yield MessageAdded(id=f"{id_}.{FIRST_ADDED + added}", message=message)
                    added += 1
    except (PlayError, GeneratorExit):
        raise
    except asyncio.CancelledError as error:
        if was_cancelled():
            raise
        raise StepError(step.name, in_words(error)) from error
    except BaseException as error:
        # A user's step may raise anything; sys.exit() in it must not end the worker's loop.
        if (pause := pause_in(error)) is not None:
            raise pause from error
        raise StepError(step.name, in_words(error)) from error


FIRST_ADDED = 1_000
"""Index of the first message that a step adds: behind what it streams."""


async def _items(step: PlannedStep, turn: TurnState) -> AsyncGenerator[Any]:
    run = step.step.run
    if inspect.isasyncgenfunction(run):
        async with aclosing(run(turn)) as items:
            async for item in items:
                yield item
        return
    result = await called(run, turn)
    if not isinstance(result, TurnState):
        raise TypeError(f"it returned {type(result).__name__}, not TurnState")
    yield result


def _told(item: object, step: PlannedStep) -> StepItem:
    if not isinstance(item, EventData | Record | TraceEntry):
        raise TypeError(f"it yielded {type(item).__name__}, not an event and not the turn")
    if isinstance(item, EventData) and not step.name.startswith(OWN):
        check_storable(item)
    return item


OWN = "core."
"""Steps that say nothing that cannot be stored; theirs are most of all events."""

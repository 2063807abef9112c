"""Play one turn: state and message in; events, records and one outcome out.

Nothing is stored or published here.  The caller pulls as fast as it can publish, so a slow reader
slows the model and not the memory; and it pulls on only when a record is on disk.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from turnline_schemas.event_data import (
    EventData,
    TurnResumed,
    TurnStarted,
)
from turnline_workers.errors import PlayError
from turnline_workers.interaction.assistant import Assistant
from turnline_workers.interaction.attempt import Attempt
from turnline_workers.interaction.journal import Record
from turnline_workers.interaction.outcome import Cancelled, Failed, Outcome, Paused
from turnline_workers.interaction.pause import Pause
from turnline_workers.interaction.state import TurnState

Item = EventData | Record | Outcome


async def play(
    assistant: Assistant,
    turn: TurnState,
    *,
    cancelled: Callable[[], str | None] = lambda: None,
) -> AsyncGenerator[Item]:
    """Yield the events of ``turn``, what must be recorded meanwhile, and, last, its outcome.

    A ``CancelledError`` that reaches the play ends the turn as ``Cancelled`` if ``cancelled``
    gives a reason, and is passed on if it does not: then the attempt is given up.

    Args:
        turn: with ``run`` set; what its journal holds is not done again.
        cancelled: the reason why the turn was cancelled, or None if nobody asked for that.
    """
    attempt = Attempt(assistant, turn, cancelled)
    try:
        async with aclosing(_to_the_end(attempt, assistant, turn)) as items:
            async for item in items:
                yield item
    except Pause as pause:
        if attempt.unrecorded:
            yield attempt.record()
        yield Paused(replace(pause.question, later_turns=assistant.while_paused))
    except asyncio.CancelledError:
        reason = cancelled()
        if reason is None:
            raise
        for event in attempt.broken_off("cancelled"):
            yield event
        yield Cancelled(*attempt.partial(), reason, attempt.trace)
    except PlayError as error:
        for event in attempt.broken_off(error.code):
            yield event
        messages, state = attempt.partial(error)
        yield Failed(messages, state, error.code, str(error), error.retryable, attempt.trace)


async def _to_the_end(
    attempt: Attempt, assistant: Assistant, turn: TurnState
) -> AsyncGenerator[Item]:
    yield attempt.tell(started(turn, assistant.name, model=assistant.adapter.name))
    for pause, value in turn.run.journal.answers.items():
        yield attempt.tell(TurnResumed(pause=pause, value=value))
    async with aclosing(attempt.steps()) as items:
        async for item in items:
            yield item
    if assistant.shaping.may_take_long and attempt.unrecorded:
        yield attempt.record()
    outcome = await attempt.completed()
    for diagnostic in attempt.untold:
        yield attempt.tell(diagnostic)
    yield attempt.traced()
    yield outcome


def started(turn: TurnState, assistant: str, *, model: str) -> TurnStarted:
    """Return the event that begins an attempt at ``turn``."""
    return TurnStarted(
        message_id=f"msg_{turn.turn}", assistant=assistant, model=model, input=turn.input
    )

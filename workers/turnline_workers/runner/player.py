"""Plays one attempt at a turn: from the claim to the outcome, telling the log meanwhile."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from turnline_schemas.errors import PostgresUnavailableError
from turnline_schemas.event_data import AttemptSuperseded, EventData
from turnline_workers.bus.connect import PASSING
from turnline_workers.bus.log import Batch, EventLog
from turnline_workers.errors import AssistantNotFoundError
from turnline_workers.flow import Claim
from turnline_workers.interaction.assistant import Assistant
from turnline_workers.interaction.journal import Journal, Record
from turnline_workers.interaction.outcome import (
    Cancelled,
    Failed,
    Outcome,
)
from turnline_workers.interaction.play import Item, play, started
from turnline_workers.interaction.state import Run, TurnState
from turnline_workers.models.registry import Assistants
from turnline_workers.runner.backoff import pauses
from turnline_workers.runner.outbox import Outbox
from turnline_workers.runner.publisher import TurnPublisher
from turnline_workers.runner.settle import Dead
from turnline_workers.store.commit import record

logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Playing:
    """A turn that this process plays."""

    claim: Claim
    task: asyncio.Task[object]
    cancel_reason: str | None = None
    settling: bool = False
    """Its outcome is decided: too late to cancel."""
    recorded: bool = False
    """Lines of its journal were written by this attempt."""

    @property
    def has_journal(self) -> bool:
        """Whether there are lines to drop when it ends."""
        return self.recorded or bool(self.claim.journal)


class Player:
    """Knows the assistants and what may be played; decides nothing about claims."""

    def __init__(
        self,
        engine: AsyncEngine,
        log: EventLog,
        outbox: Outbox,
        assistants: Assistants,
        *,
        max_attempts: int,
        clock: Callable[[], float],
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._log = log
        self._outbox = outbox
        self._assistants = assistants
        self._max_attempts = max_attempts

    async def perform(self, playing: Playing, publisher: TurnPublisher) -> Outcome | Dead:
        """Publish what the attempt says, and return how it ends.

        Raises:
            ClaimLostError: a newer claim has published.
            asyncio.CancelledError: the attempt is given up, and has no outcome.
        """
        claim = playing.claim
        await self._publish_earlier(claim)
        reason = "worker_lost" if claim.turn.losses else "handed_over"
        for attempt in range(1, claim.turn.attempt):
            # All of them: the one before may have died before it could tell of those before it.
            await publisher.add(AttemptSuperseded(attempt=attempt, reason=reason))
        turn = TurnState(
            claim.turn.turn,
            claim.turn.message,
            claim.turn.context,
            claim.state,
            session=claim.session,
            run=Run(Journal(claim.journal), self._clock),
        )
        assistant = self._assistant_for(playing)
        if not isinstance(assistant, Assistant):
            # Nothing plays it, but the transcript keeps its input, so followers must hear of it.
            await publisher.add(started(turn, claim.turn.assistant, model=""))
            return assistant
        events = play(assistant, turn, cancelled=lambda: playing.cancel_reason)
        async with aclosing(events):
            while True:
                try:
                    item = await anext(events)
                    if isinstance(item, Outcome):
                        return item
                    await self._take(item, playing, publisher)
                except asyncio.CancelledError as error:
                    if playing.cancel_reason is None:
                        raise
                    # It struck between two events: tell the play, which keeps what there is.
                    return await _cancelled(events, error, publisher)

    async def _take(
        self, item: EventData | Record, playing: Playing, publisher: TurnPublisher
    ) -> None:
        if isinstance(item, EventData):
            await publisher.add(item)
            return
        playing.recorded = True
        for pause in pauses():
            try:
                await record(self._engine, playing.claim, item.entries)
                return
            except PostgresUnavailableError as error:
                # What comes next must not be done before this is known to be on record.
                logger.warning("record.delayed", session=playing.claim.session, error=str(error))
                await asyncio.sleep(pause)

    def _assistant_for(self, playing: Playing) -> Assistant | Outcome | Dead:
        """Return who plays the turn; or its outcome, if nobody is to play it."""
        claim = playing.claim
        kept = (claim.turn.message,)
        state = claim.state.appended(claim.turn.turn, *kept)
        if playing.cancel_reason is not None and not claim.journal:
            return Cancelled(kept, state, playing.cancel_reason)
        if claim.turn.losses >= self._max_attempts:
            return Dead(kept, state, claim.turn.losses)
        try:
            return self._assistants.named(claim.turn.assistant)
        except AssistantNotFoundError as error:
            return Failed(kept, state, error.code, str(error), retryable=False)

    async def _publish_earlier(self, claim: Claim) -> None:
        """Publish what earlier turns left, so that their end stands before this turn's begin."""
        for event in claim.unpublished:
            batch = Batch.terminal(event, floor=claim.last_seq, messages=claim.messages)
            for pause in pauses():
                try:
                    await self._log.publish(batch)
                    break
                except PASSING as error:
                    logger.warning("log.unavailable", session=claim.session, error=str(error))
                    await asyncio.sleep(pause)
            self._outbox.published(event)


async def _cancelled(
    events: AsyncGenerator[Item], error: asyncio.CancelledError, publisher: TurnPublisher
) -> Cancelled:
    item = await events.athrow(error)
    while isinstance(item, EventData):
        await publisher.add(item)
        item = await anext(events)
    assert isinstance(item, Cancelled)
    return item

"""A bell's way through a worker: intake, claim, play, commit, publish, ring.

The loop of this module is the only one.  Every failure ends in one of three ways: the turn gets
its outcome, the claim is given back so that the turn is tried again, or a newer claim exists and
nothing at all is written.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncEngine

from turnline_schemas.errors import PostgresUnavailableError
from turnline_workers.bus.connect import PASSING
from turnline_workers.bus.log import Batch, EventLog
from turnline_workers.errors import ClaimLostError
from turnline_workers.flow import Claim, TerminalEvent
from turnline_workers.interaction.outcome import Ended, Paused
from turnline_workers.interaction.pause import Question
from turnline_workers.runner.backoff import pauses
from turnline_workers.runner.intake import Intake
from turnline_workers.runner.outbox import Outbox
from turnline_workers.runner.player import Player, Playing
from turnline_workers.runner.publisher import TurnPublisher
from turnline_workers.runner.ringer import Bell
from turnline_workers.runner.settle import Dead, settle, suspended
from turnline_workers.runner.slots import Slots
from turnline_workers.store.commit import commit, give_back, is_valid, suspend

FULL_HOUSE_HOPS = 2
"""How often a bell that found no slot is passed on before the session waits for a freed one."""

T = TypeVar("T")

logger = structlog.get_logger(__name__)


class Runner:
    """Answers bells.  Lives on one event loop."""

    def __init__(
        self,
        engine: AsyncEngine,
        intake: Intake,
        log: EventLog,
        outbox: Outbox,
        player: Player,
        *,
        slots: Slots,
        ring: Callable[[Bell], None],
        call_fairest: Callable[[], None],
        now_ms: Callable[[], int],
    ) -> None:
        """Do nothing yet.

        Args:
            ring: sends a bell soon; never fails.
            call_fairest: rings the session that has waited longest for a slot; never fails.
        """
        self._engine = engine
        self._intake = intake
        self._log = log
        self._outbox = outbox
        self._player = player
        self._slots = slots
        self._ring = ring
        self._call_fairest = call_fairest
        self._now_ms = now_ms
        self.playing: dict[str, Playing] = {}
        """Session -> what is played of it here."""
        self.answering: Counter[str] = Counter()
        """Session -> bells being answered here: what Postgres gives us meanwhile is not lost."""
        self.draining = False

    async def answer(self, bell: Bell, *, on_claim: Callable[[Claim], None]) -> None:
        """Take the session's inbox and play its next turn, if nobody alive plays it.

        Servers that are away end the bell and not the worker: the sweep rings again.

        Args:
            on_claim: told which turn this bell came to play.
        """
        if self.draining:
            self._pass_on(bell)
            return
        slot = self._slots.take()
        self.answering[bell.session] += 1
        try:
            claim = await self._receive(bell, slot=slot)
            if claim is not None:
                on_claim(claim)
                await self._play(claim)
        except (PostgresUnavailableError, RedisError) as error:
            logger.warning("bell.failed", session=bell.session, error=str(error))
        finally:
            self.answering[bell.session] -= 1
            if not self.answering[bell.session]:
                del self.answering[bell.session]
            if slot:
                self._slots.give()
                if self._slots.refused:
                    self._slots.refused = False
                    self._call_fairest()

    def cancel(self, session: str, turn: str, reason: str) -> bool:
        """End ``turn`` as cancelled if it is played here and its outcome is still open."""
        playing = self.playing.get(session)
        if playing is None or playing.claim.turn.turn != turn or playing.settling:
            return False
        if playing.cancel_reason is None:
            playing.cancel_reason = reason
            playing.task.cancel()
        return True

    def revoke(self, task: "asyncio.Task[None]") -> None:
        """End what ``task`` plays: as cancelled, or given up if the worker is stopping."""
        for playing in self.playing.values():
            if playing.task is task and not self.draining:
                self.cancel(playing.claim.session, playing.claim.turn.turn, "revoked")
                return
        task.cancel()

    def hand_over(self, *, settling: bool = False) -> None:
        """Give up every attempt under way, so that other workers take the turns.

        Args:
            settling: also those whose outcome is decided and waits for Postgres.
        """
        for playing in list(self.playing.values()):
            if settling or not (playing.settling or playing.cancel_reason is not None):
                playing.task.cancel()

    async def _receive(self, bell: Bell, *, slot: bool) -> Claim | None:
        taking = await self._intake.take(bell.session, slot=slot)
        while taking.left and taking.claim is None:
            taking = await self._intake.take(bell.session, slot=slot)
        if taking.left:
            # Nobody rang for what came meanwhile, and this turn may take long.
            self._ring(Bell(bell.session, bell.turn))
        if taking.claim is None and taking.runnable is not None and not slot:
            self._pass_on(Bell(bell.session, taking.runnable, bell.hops))
        return taking.claim

    def _pass_on(self, bell: Bell) -> None:
        """Let another worker have the bell; after a few hops the sweep or a freed slot rings."""
        if bell.hops < FULL_HOUSE_HOPS:
            self._ring(Bell(bell.session, bell.turn, bell.hops + 1))

    async def _play(self, claim: Claim) -> None:
        task = asyncio.current_task()
        assert task is not None
        playing = Playing(claim, task, cancel_reason=claim.turn.cancel_reason)
        self.playing[claim.session] = playing
        log = logger.bind(session=claim.session, turn=claim.turn.turn, attempt=claim.turn.attempt)
        log.info("turn.claimed", fence=claim.fence)
        publisher = TurnPublisher(
            self._log,
            claim,
            now_ms=self._now_ms,
            still_valid=lambda: is_valid(self._engine, claim),
        )
        try:
            outcome = await self._player.perform(playing, publisher)
            playing.settling = True
            await publisher.flush()
            if isinstance(outcome, Paused):
                await self._suspend(claim, outcome.question, publisher.top)
            else:
                await self._settle(playing, outcome, publisher.top)
        except ClaimLostError:
            log.warning("turn.claim_lost", fence=claim.fence)
        except (Exception, asyncio.CancelledError) as error:
            # Whatever it was, the turn must not be stuck with an owner that has given it up.
            log.warning("turn.given_back", error=repr(error))
            # One that nobody asked for is a failure of what was played.
            asked = self.draining or task.cancelling() > 0
            handed_over = asked and isinstance(error, asyncio.CancelledError)
            await self._give_back(claim, handed_over=handed_over)
            if handed_over:
                raise
        finally:
            await publisher.close()
            if self.playing.get(claim.session) is playing:
                del self.playing[claim.session]

    async def _suspend(self, claim: Claim, question: Question, top: int) -> None:
        suspension = suspended(claim, question, now_ms=self._now_ms(), top=top)
        await self._until_it_is_stored(claim, lambda: suspend(self._engine, claim, suspension))
        await self._publish(suspension.event, suspension.last_seq, claim.messages)
        logger.info(
            "turn.paused", session=claim.session, turn=claim.turn.turn, pause=question.pause
        )

    async def _settle(self, playing: Playing, outcome: Ended | Dead, top: int) -> None:
        claim = playing.claim
        settlement = settle(
            claim, outcome, now_ms=self._now_ms(), top=top, had_journal=playing.has_journal
        )
        # Where others wait for a slot, this session stands in line with them.
        will_ring = not self._slots.refused
        waiting = await self._until_it_is_stored(
            claim, lambda: commit(self._engine, claim, settlement, will_ring=will_ring)
        )
        messages = claim.messages + len(settlement.messages)
        await self._publish(settlement.event, settlement.last_seq, messages)
        logger.info(
            "turn.settled", session=claim.session, turn=claim.turn.turn, outcome=settlement.status
        )
        if waiting is not None and will_ring:
            self._ring(Bell(claim.session, waiting))

    async def _publish(self, event: TerminalEvent, seq: int, messages: int) -> None:
        """Publish what was committed; if Redis is away, the sweep does so later."""
        batch = Batch.terminal(event, floor=seq - 1, messages=messages)
        try:
            await self._log.publish(batch)
            self._outbox.published(event)
        except PASSING as error:
            logger.warning("log.unavailable", session=event.session, error=str(error))

    async def _until_it_is_stored(self, claim: Claim, store: Callable[[], Awaitable[T]]) -> T:
        """Try for as long as it takes: only the fence may refuse an answer that is there."""
        for pause in pauses():
            try:
                return await store()
            except PostgresUnavailableError as error:
                logger.warning("commit.delayed", session=claim.session, error=str(error))
                await asyncio.sleep(pause)
        raise AssertionError("pauses() does not end")

    async def _give_back(self, claim: Claim, *, handed_over: bool) -> None:
        try:
            given = await asyncio.shield(give_back(self._engine, claim, handed_over=handed_over))
        except PostgresUnavailableError as error:
            # The sweep sees a session that this worker owns and does not play.
            logger.warning("turn.not_given_back", session=claim.session, error=str(error))
            return
        if given and handed_over:
            self._ring(Bell(claim.session, claim.turn.turn, hops=1 if self.draining else 0))

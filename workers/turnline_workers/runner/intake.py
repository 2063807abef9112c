"""Intake: what a bell does first, with or without a free slot."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from turnline_schemas.event_data import TurnAccepted
from turnline_schemas.message import AnyMessage, ResumeMessage, TurnMessage
from turnline_schemas.names import control_channel, resume_key, turn_key
from turnline_workers.bus.connect import PASSING
from turnline_workers.bus.inbox import DeadLetter, Inbox, InboxPage, Taken
from turnline_workers.bus.log import Batch, EventLog
from turnline_workers.bus.nudges import Nudges
from turnline_workers.flow import Arrival, Claim, LogEvent, Received, Refusal, TerminalEvent
from turnline_workers.runner.outbox import Outbox
from turnline_workers.store.engine import first_line
from turnline_workers.store.receive import receive

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Taking:
    """What one intake came to."""

    claim: Claim | None
    runnable: str | None
    """The turn that waits for a worker with a free slot."""
    left: int
    """Entries that came meanwhile, for which nobody rang."""


class Intake:
    """Moves what is new from a session's inbox to its mailbox."""

    def __init__(
        self,
        engine: AsyncEngine,
        inbox: Inbox,
        log: EventLog,
        outbox: Outbox,
        nudges: Nudges,
        *,
        worker: str,
        lease: timedelta,
        now_ms: Callable[[], int],
    ) -> None:
        self._engine = engine
        self._inbox = inbox
        self._log = log
        self._outbox = outbox
        self._nudges = nudges
        self._worker = worker
        self._lease = lease
        self._now_ms = now_ms
        # One at a time, so that commits always find a connection free.
        self._door = asyncio.Semaphore(1)

    async def take(self, session: str, *, slot: bool) -> Taking:
        """Take a page of the inbox and, with a ``slot``, claim the session if it is free.

        The order matters: Postgres first, then Redis.  Dying in between leaves entries in the
        inbox that Postgres has already, and the next intake takes them off.

        Raises:
            PostgresUnavailableError: or a passing Redis error; the sweep rings again.
        """
        page = await self._inbox.read(session)
        page, received = await self._receive_storable(session, page, slot=slot)
        try:
            left = await self._after(session, page, received)
        except PASSING as error:
            # The claim is ours already; what is left in the inbox is taken by a later bell.
            logger.warning("inbox.not_trimmed", session=session, error=str(error))
            left = 0
        return Taking(received.claim, received.runnable, left)

    async def _receive_storable(
        self, session: str, page: InboxPage, *, slot: bool
    ) -> tuple[InboxPage, Received]:
        """Receive a page; if Postgres cannot store it, only its first entry, or bury that one.

        One entry that cannot be stored must not block its session.  What is left out of the
        page stays in the inbox and is taken next.
        """
        try:
            return page, await self._receive(session, page.arrivals, slot=slot)
        except DBAPIError as error:
            if not page.arrivals:
                raise
            logger.warning("inbox.not_storable", session=session, error=first_line(error))
        first = page.arrivals[0]
        try:
            received = await self._receive(session, (first,), slot=slot)
        except DBAPIError as error:
            raw = first.message.encode()
            letter = DeadLetter(first.position, raw, "not_storable", first_line(error))
            return InboxPage((), (*page.letters, letter)), Received()
        return InboxPage((first,), page.letters), received

    async def _receive(
        self, session: str, arrivals: tuple[Arrival, ...], *, slot: bool
    ) -> Received:
        async with self._door:
            return await receive(
                self._engine,
                session,
                arrivals,
                worker=self._worker,
                slot=slot,
                lease=self._lease,
                now_ms=self._now_ms(),
            )

    async def _after(self, session: str, page: InboxPage, received: Received) -> int:
        letters = [*page.letters, *_refused(page.arrivals, received.refused)]
        if letters:
            await self._inbox.bury(session, letters)
        left = await self._inbox.take(
            session,
            self._taken(session, page, received),
            floor=received.last_seq,
            messages=received.messages,
        )
        for event in received.settled:
            await self._tell_cancelled(event, received)
        for turn in received.nudges:
            await self._nudges.send(control_channel(session), turn)
        return left

    def _taken(self, session: str, page: InboxPage, received: Received) -> list[Taken]:
        announced = {accepted.position for accepted in received.accepted}
        taken = [
            Taken(
                letter.position,
                letter.turn and turn_key(session, letter.turn),
                f"refused:{letter.reason}",
            )
            for letter in page.letters
            if letter.position
        ]
        for arrival in page.arrivals:
            refusal = received.refused.get(arrival.position)
            state = "accepted" if refusal is None else f"refused:{refusal.reason}"
            event = self._event(arrival) if arrival.position in announced else ""
            taken.append(Taken(arrival.position, _key(arrival.message), state, event))
        return taken

    def _event(self, arrival: Arrival) -> str:
        message = arrival.message
        not_before = getattr(message, "not_before", None)
        told = TurnAccepted(
            position=arrival.position,
            not_before=None if not_before is None else not_before.isoformat(),
        )
        return LogEvent(message.session, message.turn, 0, self._now_ms(), told).fragment()

    async def _tell_cancelled(self, event: TerminalEvent, received: Received) -> None:
        batch = Batch.terminal(event, floor=received.last_seq, messages=received.messages)
        await self._log.publish(batch)
        self._outbox.published(event)


def _key(message: AnyMessage) -> str | None:
    match message:
        case TurnMessage(session=session, turn=turn):
            return turn_key(session, turn)
        case ResumeMessage(session=session, turn=turn):
            return resume_key(session, turn, message.fingerprint())
        case _:
            return None


def _refused(arrivals: tuple[Arrival, ...], refused: dict[str, Refusal]) -> list[DeadLetter]:
    return [
        DeadLetter(
            arrival.position,
            arrival.message.encode(),
            refused[arrival.position].reason,
            refused[arrival.position].detail,
            arrival.message.turn,
        )
        for arrival in arrivals
        if arrival.position in refused
    ]

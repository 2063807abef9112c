"""Commit: state, transcript, outcome and terminal event together, or not at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from turnline_schemas.message import Message
from turnline_workers.errors import ClaimLostError
from turnline_workers.flow import Claim, TerminalEvent
from turnline_workers.interaction.journal import Entry
from turnline_workers.interaction.state import InteractionState, stored_view
from turnline_workers.store.engine import transaction
from turnline_workers.store.statements import commit as sql


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a turn ended, ready to be stored."""

    status: str
    messages: tuple[Message, ...]
    state: InteractionState
    event: TerminalEvent
    last_seq: int
    """Seq that the terminal event gets, if nothing else is published before it."""
    usage: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    had_journal: bool = False
    """Whether lines of a journal must be dropped."""


async def commit(
    engine: AsyncEngine, claim: Claim, settlement: Settlement, *, will_ring: bool
) -> str | None:
    """Settle the claimed turn and give its session free.

    Safe to repeat: if an earlier try went through and only its answer was lost, this changes
    nothing and returns None.

    Args:
        will_ring: the caller rings for the turn that waits next; if not, a sweep does as soon
            as it is this session's turn among all that wait.

    Returns:
        The turn that waits next; None if none does.

    Raises:
        ClaimLostError: a newer claim exists; nothing was written.
        PostgresUnavailableError: it is unknown whether it was written; repeat.
    """
    async with transaction(engine) as connection:
        if not await _hold(connection, claim):
            return None
        if settlement.messages:
            await connection.execute(sql.APPEND, _rows(claim, settlement.messages))
        settled = await connection.execute(
            sql.SETTLE,
            {
                "for_session": claim.session,
                "for_turn": claim.turn.turn,
                "for_fence": claim.fence,
                "new_status": settlement.status,
                "new_error": settlement.error,
                "new_usage": settlement.usage,
                "new_outbox": settlement.event.stored(),
            },
        )
        if settled.one_or_none() is None:
            raise ClaimLostError(claim.session, claim.fence)
        if settlement.had_journal:
            await connection.execute(
                sql.FORGET_STEPS, {"for_session": claim.session, "for_turn": claim.turn.turn}
            )
        view = stored_view(settlement.state)
        waiting = await connection.scalar(
            sql.RELEASE,
            {
                "for_session": claim.session,
                "new_messages": claim.messages + len(settlement.messages),
                "new_head": [message.model_dump(mode="json") for message in view.head],
                "new_start": view.start,
                "new_private": settlement.state.private,
                "new_seq": settlement.last_seq,
                "will_ring": will_ring,
            },
        )
        return None if waiting is None else str(waiting)


@dataclass(frozen=True, slots=True)
class Suspension:
    """What a paused turn waits for, ready to be stored."""

    question: dict[str, Any]
    expires_in: timedelta | None
    event: TerminalEvent
    """``turn.paused``."""
    last_seq: int
    """Seq that the event gets, if nothing else is published before it."""


async def suspend(engine: AsyncEngine, claim: Claim, suspension: Suspension) -> None:
    """Let the claimed turn wait for an answer, and give its session free.

    Safe to repeat.

    Raises:
        ClaimLostError: a newer claim exists; nothing was written.
        PostgresUnavailableError: it is unknown whether it was written; repeat.
    """
    async with transaction(engine) as connection:
        row = (await connection.execute(sql.HOLD, {"for_session": claim.session})).one_or_none()
        if row is None or row.fence != claim.fence:
            raise ClaimLostError(claim.session, claim.fence)
        if row.owner is None:
            return  # an earlier try went through, and only its answer was lost
        paused = await connection.execute(
            sql.PAUSE,
            {
                "for_session": claim.session,
                "for_turn": claim.turn.turn,
                "for_fence": claim.fence,
                "new_pause": suspension.question,
                "expires_in": suspension.expires_in,
                "new_outbox": suspension.event.stored(),
            },
        )
        if row.owner != claim.worker or paused.one_or_none() is None:
            raise ClaimLostError(claim.session, claim.fence)
        await connection.execute(
            sql.LEAVE_PAUSED, {"for_session": claim.session, "new_seq": suspension.last_seq}
        )


async def record(engine: AsyncEngine, claim: Claim, entries: Sequence[Entry]) -> None:
    """Write lines of the turn's journal; those that are there stay.

    Raises:
        ClaimLostError: a newer claim exists; nothing was written.
        PostgresUnavailableError: it is unknown whether it was written; repeat.
    """
    rows = [{"kind": each.kind, "id": each.id, "value": each.value} for each in entries]
    async with transaction(engine) as connection:
        valid = await connection.scalar(
            sql.RECORD,
            {
                "for_session": claim.session,
                "for_turn": claim.turn.turn,
                "by_worker": claim.worker,
                "for_fence": claim.fence,
                "rows": rows,
            },
        )
        if valid is None:
            raise ClaimLostError(claim.session, claim.fence)


async def give_back(engine: AsyncEngine, claim: Claim, *, handed_over: bool) -> bool:
    """Give the session free without an outcome; the turn is tried again from the start.

    Args:
        handed_over: the attempt was given up on purpose; if not, it counts as lost, and the
            next one begins after a while.

    Returns:
        False if the claim was lost already.
    """
    async with transaction(engine) as connection:
        given = await connection.execute(
            sql.GIVE_BACK,
            {
                "for_session": claim.session,
                "by_worker": claim.worker,
                "for_fence": claim.fence,
                "at_once": handed_over,
            },
        )
        if given.one_or_none() is None:
            return False
        if handed_over:
            await connection.execute(
                sql.PUT_BACK, {"for_session": claim.session, "for_turn": claim.turn.turn}
            )
        return True


async def is_valid(engine: AsyncEngine, claim: Claim) -> bool:
    """Say whether ``claim`` is still the newest of its session."""
    async with transaction(engine) as connection:
        row = (await connection.execute(sql.HOLD, {"for_session": claim.session})).one_or_none()
        return row is not None and row.fence == claim.fence and row.owner == claim.worker


async def clear_outbox(engine: AsyncEngine, published: Sequence[TerminalEvent]) -> None:
    """Forget terminal events that are in the log, all in one statement."""
    rows = [
        {"session": event.session, "turn": event.turn, "fence": event.fence} for event in published
    ]
    async with transaction(engine) as connection:
        await connection.execute(sql.CLEAR_OUTBOX, {"rows": rows})


async def _hold(connection: AsyncConnection, claim: Claim) -> bool:
    """Lock the row; False if this claim has settled its turn already."""
    row = (await connection.execute(sql.HOLD, {"for_session": claim.session})).one_or_none()
    if row is not None and row.fence == claim.fence and row.owner == claim.worker:
        return True
    settled = await connection.execute(
        sql.SETTLED_BY,
        {"for_session": claim.session, "for_turn": claim.turn.turn, "for_fence": claim.fence},
    )
    if settled.one_or_none() is None:
        raise ClaimLostError(claim.session, claim.fence)
    return False


def _rows(claim: Claim, messages: Sequence[Message]) -> dict[str, Any]:
    rows = [
        {"index": index, **message.model_dump(mode="json")}
        for index, message in enumerate(messages, start=claim.messages + 1)
    ]
    return {"for_session": claim.session, "for_turn": claim.turn.turn, "rows": rows}

"""Commit: state, transcript, outcome and terminal event together, or not at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from turnline_schemas.message import Message
from turnline_workers.errors import ClaimLostError
from turnline_workers.flow import Claim, TerminalEvent
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
    rows = [{"session": event.session, "turn": event.turn} for event in published]
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

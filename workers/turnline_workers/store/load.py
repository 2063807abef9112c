"""Read what a turn needs: the view, and what earlier turns left to publish."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from turnline_schemas.message import Message
from turnline_workers.flow import Claim, ClaimedTurn, outbox_event
from turnline_workers.interaction.journal import Entry
from turnline_workers.interaction.state import InteractionState, ViewMessage
from turnline_workers.store.schema import steps
from turnline_workers.store.statements import receive as sql


async def load_claim(
    connection: AsyncConnection, row: Row[Any], turn: Row[Any], worker: str
) -> Claim:
    """Return the claim of ``turn``: one statement, however long the session is.

    What it reads grows with the view, not with the transcript.
    """
    loaded = await connection.execute(
        sql.LOAD, {"for_session": row.session, "view_start": row.view_start}
    )
    rows = loaded.all()
    # Before the first attempt there is no journal, and most turns need one attempt.
    journal = await _journal(connection, row.session, turn.turn) if turn.attempts > 1 else ()
    return Claim(
        session=row.session,
        worker=worker,
        fence=row.fence + 1,
        turn=ClaimedTurn(
            turn=turn.turn,
            attempt=turn.attempts,
            losses=turn.losses,
            message=Message.model_validate(turn.message),
            context=turn.context,
            assistant=turn.assistant,
            cancel_reason=turn.cancel_reason,
        ),
        state=state_of(row, rows),
        last_seq=row.last_seq,
        journal=journal,
        unpublished=tuple(
            outbox_event(row.session, each.turn, each.content) for each in rows if each.role is None
        ),
    )


async def _journal(connection: AsyncConnection, session: str, turn: str) -> tuple[Entry, ...]:
    query = select(steps.c.kind, steps.c.id, steps.c.value).where(
        steps.c.session == session, steps.c.turn == turn
    )
    found = await connection.execute(query.order_by(steps.c.number))
    return tuple(Entry(row.kind, row.id, row.value) for row in found)


def state_of(row: Row[Any], rows: Sequence[Row[Any]]) -> InteractionState:
    """Return the state of a session: the head of its view, then the transcript from there on.

    Args:
        row: of the session.
        rows: its messages from ``view_start`` on; those without a role are none.
    """
    head = tuple(ViewMessage.model_validate(message) for message in row.view_head)
    tail = tuple(
        ViewMessage(
            role=each.role,
            content=Message.model_validate({"role": each.role, "content": each.content}).content,
            index=each.index,
            turn=each.turn,
        )
        for each in rows
        if each.role is not None
    )
    return InteractionState(
        messages=head + tail, next_index=row.messages + 1, private=dict(row.private)
    )

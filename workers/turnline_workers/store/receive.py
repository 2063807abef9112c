"""Intake and claim: from the inbox into the mailbox, and the next turn to play, in one transaction.

The session's row is locked by a statement of its own that reads nothing else.  Joined tables and
subqueries of a statement that waited for a lock still see what was there before it waited; the
statements after it see the truth.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from turnline_schemas.event_data import TurnCancelled
from turnline_schemas.message import CancelMessage, ResumeMessage, TurnMessage
from turnline_workers.flow import (
    Accepted,
    Arrival,
    Claim,
    LogEvent,
    Received,
    Refusal,
    TerminalEvent,
)
from turnline_workers.flow import position_key as key
from turnline_workers.interaction.answers import wrong_answer
from turnline_workers.store.engine import transaction
from turnline_workers.store.load import load_claim
from turnline_workers.store.refusals import kept_out
from turnline_workers.store.statements import receive as sql

CONFLICT = Refusal("turn_conflict", "the turn id is in use with another payload")

SessionRow = Any
"""A row of ``statements.LOCK``."""


@dataclass(slots=True)
class _Intake:
    """What is learnt while entries are taken."""

    accepted: list[Accepted] = field(default_factory=list)
    waiting: list[TurnMessage] = field(default_factory=list)
    """The newly accepted turns that may be played now."""
    refused: dict[str, Refusal] = field(default_factory=dict)
    settled: list[TerminalEvent] = field(default_factory=list)
    nudges: list[str] = field(default_factory=list)
    last_ordinal: int = 0
    cursor: str = "0-0"
    refused_cursor: str | None = None


async def receive(
    engine: AsyncEngine,
    session: str,
    arrivals: Sequence[Arrival],
    *,
    worker: str,
    slot: bool,
    lease: timedelta,
    now_ms: int,
) -> Received:
    """Put ``arrivals`` into the session's mailbox and claim the session if nobody alive plays it.

    Safe to repeat, and to be done by several workers at once: the row lock puts them in order
    and turn ids decide what is new.

    Args:
        slot: whether the caller has room to play; without one it only takes the arrivals.
        now_ms: worker's clock, for the timestamp of events.

    Raises:
        PostgresUnavailableError: nothing, or everything, was done; do it again.
    """
    async with transaction(engine) as connection:
        row = await _lock(connection, session, create=bool(arrivals))
        if row is None:
            return Received()
        intake = await _take(connection, row, arrivals, now_ms)
        owned = row.owner is not None and await _alive(connection, row.owner, lease)
        claim = None
        if slot and not owned and (intake.waiting or row.status != "idle"):
            claim = await _claim(connection, row, worker)
        runnable = None
        if claim is None:
            runnable = await _leave(connection, row, intake, owned=owned)
        else:
            await connection.execute(sql.OWN, _saved(row, intake) | {"by_worker": worker})
        return Received(
            accepted=tuple(intake.accepted),
            refused=intake.refused,
            settled=tuple(intake.settled),
            nudges=tuple(intake.nudges),
            claim=claim,
            runnable=runnable,
            last_seq=row.last_seq,
            messages=row.messages,
        )


async def _lock(connection: AsyncConnection, session: str, *, create: bool) -> SessionRow | None:
    row = (await connection.execute(sql.LOCK, {"for_session": session})).one_or_none()
    if row is None and create:
        await connection.execute(sql.CREATE, {"for_session": session})
        row = (await connection.execute(sql.LOCK, {"for_session": session})).one()
    return row


async def _alive(connection: AsyncConnection, worker: str, lease: timedelta) -> bool:
    alive = await connection.scalar(sql.ALIVE, {"by_worker": worker, "lease": lease})
    return alive is not None


async def _take(
    connection: AsyncConnection, row: SessionRow, arrivals: Sequence[Arrival], now_ms: int
) -> _Intake:
    intake = _Intake(
        last_ordinal=row.last_ordinal,
        cursor=row.inbox_cursor,
        refused_cursor=row.refused_cursor,
        refused=await kept_out(connection, row, arrivals),
    )
    if intake.refused:
        positions = (row.refused_cursor or "0-0", *intake.refused)
        intake.refused_cursor = max(positions, key=key)
    let_in = [arrival for arrival in arrivals if arrival.position not in intake.refused]
    coming = [arrival for arrival in let_in if isinstance(arrival.message, TurnMessage)]
    if coming:
        await _insert(connection, row, coming, intake)
    later = Counter(arrival.message.turn for arrival in coming)
    for arrival in let_in:
        if isinstance(arrival.message, TurnMessage):
            later[arrival.message.turn] -= 1
        elif isinstance(arrival.message, ResumeMessage):
            await _resume(connection, arrival, arrival.message, intake)
        elif not later[arrival.message.turn]:
            # One that came before its turn changes nothing, in one page as in two.
            await _cancel(connection, arrival.message, intake, now_ms)
    intake.cursor = max((row.inbox_cursor, *(each.position for each in arrivals)), key=key)
    return intake


async def _insert(
    connection: AsyncConnection, row: SessionRow, coming: Sequence[Arrival], intake: _Intake
) -> None:
    rows = {}
    for arrival in coming:
        turn = _mailbox_row(arrival, row)
        # The same id twice in one page: the first one counts, the second is checked below.
        if turn["turn"] in rows:
            continue
        if turn["status"] == "waiting":
            intake.last_ordinal += 1
            turn["ordinal"] = intake.last_ordinal
        rows[turn["turn"]] = turn
    inserted = await connection.execute(
        sql.INSERT_TURNS, {"for_session": row.session, "rows": list(rows.values())}
    )
    new = set(inserted.scalars())
    known = {}
    if len(new) < len(coming):
        ids = [arrival.message.turn for arrival in coming]
        found = await connection.execute(sql.KNOWN, {"for_session": row.session, "turns": ids})
        known = {each.turn: each for each in found}
    for arrival in coming:
        message = arrival.message
        assert isinstance(message, TurnMessage)
        first = known.get(message.turn)
        if first is not None and first.fingerprint != message.fingerprint():
            intake.refused[arrival.position] = CONFLICT
            continue
        if first is not None and first.position != arrival.position:
            continue  # a repetition of a turn that has its place already
        if message.turn in new and rows[message.turn]["status"] == "waiting":
            intake.waiting.append(message)
        intake.accepted.append(Accepted(message.turn, arrival.position, message.not_before))


def _mailbox_row(arrival: Arrival, row: SessionRow) -> dict[str, Any]:
    turn = arrival.message
    assert isinstance(turn, TurnMessage)
    delayed = turn.not_before is not None and turn.not_before > row.now
    return {
        "turn": turn.turn,
        "ordinal": None,
        "position": arrival.position,
        "late": key(arrival.position) <= key(row.inbox_cursor),
        "fingerprint": turn.fingerprint(),
        "status": "delayed" if delayed else "waiting",
        "user_id": turn.user,
        "assistant": turn.assistant,
        "message": turn.message.model_dump(mode="json"),
        "context": turn.context,
        "priority": turn.priority,
        "not_before": _iso(turn.not_before),
    }


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


async def _cancel(
    connection: AsyncConnection, message: CancelMessage, intake: _Intake, now_ms: int
) -> None:
    """Settle a turn that waits; leave a note for one that is played.  Repeating changes nothing."""
    told = TurnCancelled(reason=message.reason)
    fragment = LogEvent(message.session, message.turn, 0, now_ms, told).fragment()
    event = TerminalEvent(message.session, message.turn, fragment, fence=None)
    found = await connection.execute(
        sql.CANCEL,
        {
            "for_session": message.session,
            "for_turn": message.turn,
            "new_reason": message.reason,
            "new_outbox": event.stored(),
        },
    )
    for status in found.scalars():
        if status == "cancelled":
            intake.waiting = [turn for turn in intake.waiting if turn.turn != message.turn]
            intake.settled.append(event)
        else:
            intake.nudges.append(message.turn)


async def _resume(
    connection: AsyncConnection, arrival: Arrival, message: ResumeMessage, intake: _Intake
) -> None:
    """Let a paused turn go on with its answer, once; refuse what does not answer its question."""
    where = {"for_session": message.session, "for_turn": message.turn}
    question: Any = await connection.scalar(sql.QUESTION, where)
    if question is None or question["pause"] != message.pause:
        detail = f"turn {message.turn!r} does not wait for an answer to {message.pause!r}"
        intake.refused[arrival.position] = Refusal("not_paused", detail)
        return
    problem = wrong_answer(question["answer_schema"], message.value)
    if problem is not None:
        intake.refused[arrival.position] = Refusal("invalid_answer", problem)
        return
    answer = {"for_pause": message.pause, "new_value": message.value}
    await connection.execute(sql.ANSWER, where | answer)
    await connection.execute(sql.RESUME, where)


async def _claim(connection: AsyncConnection, row: SessionRow, worker: str) -> Claim | None:
    picked = await connection.execute(
        sql.PICK, {"for_session": row.session, "next_fence": row.fence + 1}
    )
    turn = picked.one_or_none()
    if turn is None:
        return None
    return await load_claim(connection, row, turn, worker)


async def _leave(
    connection: AsyncConnection, row: SessionRow, intake: _Intake, *, owned: bool
) -> str | None:
    """Save the intake without a claim; return the turn that waits for a slot, if one does."""
    saved = _saved(row, intake)
    if owned:
        if intake.cursor != row.inbox_cursor or intake.last_ordinal != row.last_ordinal:
            await connection.execute(sql.SAVE_OWNED, saved)
        return None
    left = await connection.scalar(sql.LEAVE, saved)
    return None if left is None else str(left)


def _saved(row: SessionRow, intake: _Intake) -> dict[str, Any]:
    owner = next((turn.user for turn in intake.waiting if turn.user), None)
    return {
        "for_session": row.session,
        "new_cursor": intake.cursor,
        "new_refused": intake.refused_cursor,
        "new_ordinal": intake.last_ordinal,
        "new_user": owner,
    }

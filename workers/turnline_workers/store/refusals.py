"""Which turns a session refuses while one of its turns waits for an answer."""

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from turnline_schemas.message import AnyMessage, CancelMessage, ResumeMessage, TurnMessage
from turnline_workers.flow import Arrival, Refusal
from turnline_workers.flow import position_key as key
from turnline_workers.interaction.answers import wrong_answer
from turnline_workers.store.statements import receive as sql

REASON = "session_paused"

AGAIN = Refusal(REASON, "it was refused while the session waited for an answer")
"""Told where another worker has refused the entry, and may have said so."""


async def kept_out(
    connection: AsyncConnection, row: Row[Any], arrivals: Sequence[Arrival]
) -> dict[str, Refusal]:
    """Return position -> why, for turns that must not enter the mailbox of a locked session.

    One that has its place is never among them: accepted is a promise.

    Args:
        row: of ``statements.LOCK``.
    """
    coming = [each for each in arrivals if isinstance(each.message, TurnMessage)]
    refused = {
        each.position: AGAIN
        for each in coming
        if row.refused_cursor is not None and key(each.position) <= key(row.refused_cursor)
    }
    if coming and row.status == "paused":
        found = await connection.execute(sql.WAITS_FOR, {"for_session": row.session})
        waits_for = found.one_or_none()
        # Questions stored by earlier versions say nothing of later turns.
        if waits_for is not None and waits_for.pause.get("later_turns") == "refuse":
            refused |= before_the_answer(arrivals, waits_for.turn, waits_for.pause)
    if not refused:
        return {}
    ids = [each.message.turn for each in coming if each.position in refused]
    known = await connection.execute(sql.KNOWN, {"for_session": row.session, "turns": ids})
    accepted = {each.turn for each in known}
    return {
        each.position: refused[each.position]
        for each in coming
        if each.position in refused and each.message.turn not in accepted
    }


def before_the_answer(
    arrivals: Sequence[Arrival], turn: str, question: dict[str, Any]
) -> dict[str, Refusal]:
    """Return position -> why, for turns that stand before what lets ``turn`` go on.

    Behind that the session is not paused any more, in one page as in two.
    """
    detail = f"the session waits for an answer to turn {turn!r} and takes no turns until then"
    waiting = takewhile(lambda each: not _goes_on(each.message, turn, question), arrivals)
    return {
        each.position: Refusal(REASON, detail)
        for each in waiting
        if isinstance(each.message, TurnMessage)
    }


def _goes_on(message: AnyMessage, turn: str, question: dict[str, Any]) -> bool:
    match message:
        case ResumeMessage():
            answers = (message.turn, message.pause) == (turn, question["pause"])
            return answers and wrong_answer(question["answer_schema"], message.value) is None
        case CancelMessage():
            return message.turn == turn
        case TurnMessage():
            return False

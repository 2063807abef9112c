"""What people and readers ask of stored sessions.  Reads only; locks nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from turnline_schemas.event_data import TranscriptEntry
from turnline_schemas.message import Message
from turnline_workers.interaction.state import InteractionState
from turnline_workers.store.load import state_of
from turnline_workers.store.schema import messages, sessions, turns


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """One line of a list of sessions."""

    session: str
    status: str
    user: str | None
    turns: int
    waiting: int
    """Turns accepted and not ended."""
    messages: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class TurnSummary:
    """One turn of a session, without its text."""

    turn: str
    ordinal: int | None
    position: str
    status: str
    attempts: int
    error: dict[str, Any] | None
    usage: dict[str, Any] | None
    accepted_at: datetime
    started_at: datetime | None
    settled_at: datetime | None
    pause: dict[str, Any] | None
    """What it waits for, while it is paused."""


def list_sessions(connection: Connection, *, limit: int) -> list[SessionSummary]:
    """Return the sessions that changed last, newest first."""
    page = select(sessions).order_by(sessions.c.updated_at.desc()).limit(limit).subquery()
    open_turns = func.count().filter(turns.c.settled_at.is_(None), turns.c.turn.is_not(None))
    query = (
        select(
            page.c.session,
            page.c.status,
            page.c.user_id,
            func.count(turns.c.turn),
            open_turns,
            page.c.messages,
            page.c.updated_at,
        )
        .select_from(page.outerjoin(turns, turns.c.session == page.c.session))
        .group_by(page.c.session, page.c.status, page.c.user_id, page.c.messages, page.c.updated_at)
        .order_by(page.c.updated_at.desc())
    )
    return [SessionSummary(*row) for row in connection.execute(query)]


def find_session(connection: Connection, session: str) -> dict[str, Any] | None:
    """Return what is known of a session itself; None if Postgres does not know it."""
    query = select(
        sessions.c.session,
        sessions.c.status,
        sessions.c.user_id.label("user"),
        sessions.c.owner,
        sessions.c.fence,
        sessions.c.messages,
        sessions.c.last_seq,
        sessions.c.created_at,
        sessions.c.updated_at,
    ).where(sessions.c.session == session)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else dict(row)


def list_turns(connection: Connection, session: str, *, last: int) -> list[TurnSummary]:
    """Return the last turns of a session, oldest first; delayed ones stand at the end."""
    columns = [turns.c[name] for name in TurnSummary.__dataclass_fields__]
    query = (
        select(*columns)
        .where(turns.c.session == session)
        .order_by(turns.c.ordinal.desc().nulls_first(), turns.c.position.desc())
        .limit(last)
    )
    return [TurnSummary(*row) for row in connection.execute(query)][::-1]


@dataclass(frozen=True, slots=True)
class FoundTurn:
    """Where a turn is, and where it stands."""

    session: str
    status: str
    question: dict[str, Any] | None
    """As ``turn.paused`` tells it, while it is paused."""


def find_turns(connection: Connection, turn: str, session: str | None) -> list[FoundTurn]:
    """Return the turns of that id, in one session or in all."""
    query = select(turns.c.session, turns.c.status, turns.c.pause).where(turns.c.turn == turn)
    if session is not None:
        query = query.where(turns.c.session == session)
    return [FoundTurn(*row) for row in connection.execute(query)]


def find_state(connection: Connection, session: str) -> InteractionState | None:
    """Return the state that the next turn of a session begins with; None if it is not known.

    Reads in two statements, so between two turns only is it exactly what was stored by one.
    """
    row = connection.execute(select(sessions).where(sessions.c.session == session)).one_or_none()
    if row is None:
        return None
    tail = (
        select(messages)
        .where(messages.c.session == session, messages.c.index >= row.view_start)
        # What a turn that ended meanwhile has added is not of this row.
        .where(messages.c.index <= row.messages)
        .order_by(messages.c.index)
    )
    return state_of(row, connection.execute(tail).all())


def every_message(connection: Connection, session: str) -> Iterator[TranscriptEntry]:
    """Yield the whole transcript, oldest first, without holding all of it in memory."""
    query = select(messages).where(messages.c.session == session).order_by(messages.c.index)
    streaming = connection.execution_options(stream_results=True, yield_per=500)
    return _entries(streaming, query)


def outcome_of(connection: Connection, session: str, turn: str) -> str | None:
    """Return how a turn ended; None if it has not, or is not known."""
    query = select(turns.c.status).where(
        turns.c.session == session, turns.c.turn == turn, turns.c.settled_at.is_not(None)
    )
    return connection.scalar(query)


def transcript(
    connection: Connection, session: str, *, upto: int | None = None, last: int | None = None
) -> list[TranscriptEntry]:
    """Return the transcript of a session, oldest first.

    Args:
        upto: only messages up to this index.
        last: only so many, the newest.
    """
    query = select(messages).where(messages.c.session == session)
    if upto is not None:
        query = query.where(messages.c.index <= upto)
    query = query.order_by(messages.c.index.desc())
    if last is not None:
        query = query.limit(last)
    return list(_entries(connection, query))[::-1]


def _entries(connection: Connection, query: Any) -> Iterator[TranscriptEntry]:
    for row in connection.execute(query):
        yield TranscriptEntry(
            index=row.index,
            turn=row.turn,
            message=Message.model_validate({"role": row.role, "content": row.content}),
        )

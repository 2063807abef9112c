"""What a sweep finds in Postgres: work without a live path to its end.

These are the only statements that skip locked rows: a sweep comes again, a bell does not.
"""

from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy import Connection, Engine, func, literal, null, select, update
from sqlalchemy.dialects.postgresql import insert

from turnline_workers.flow import TerminalEvent, outbox_event
from turnline_workers.store.engine import translated
from turnline_workers.store.schema import sessions, steps, turns, workers
from turnline_workers.store.statements.commit import CLEAR_OUTBOX
from turnline_workers.store.statements.parts import NOW

PAGE = 500
"""Rows that one sweep takes at most; the next one takes the rest."""


def release_due(engine: Engine) -> int:
    """Give delayed turns whose time has come their place, behind what waits; return how many."""
    due = (
        select(turns.c.session)
        .where(turns.c.status == "delayed", turns.c.not_before <= NOW)
        .distinct()
        .limit(PAGE)
    )
    with translated(str(engine.url)):
        with engine.connect() as connection:
            found = list(connection.scalars(due))
        return sum(_release_session(engine, session) for session in sorted(found))


def _release_session(engine: Engine, session: str) -> int:
    with engine.begin() as connection:
        lock = (
            select(sessions.c.last_ordinal, sessions.c.status)
            .where(sessions.c.session == session)
            .with_for_update(key_share=True, skip_locked=True)
        )
        row = connection.execute(lock).one_or_none()
        if row is None:
            return 0
        released = _give_places(connection, session, row.last_ordinal)
        if released:
            changed = {"last_ordinal": row.last_ordinal + released}
            if row.status == "idle":
                changed |= {"status": "runnable", "runnable_since": NOW}
            connection.execute(
                update(sessions).where(sessions.c.session == session).values(changed)
            )
        return released


def _give_places(connection: Connection, session: str, last_ordinal: int) -> int:
    placed = (
        select(
            turns.c.turn,
            (
                last_ordinal
                + func.row_number().over(order_by=[turns.c.not_before, turns.c.position])
            ).label("place"),
        )
        .where(turns.c.session == session, turns.c.status == "delayed", turns.c.not_before <= NOW)
        .subquery()
    )
    result = connection.execute(
        update(turns)
        .where(turns.c.session == session, turns.c.turn == placed.c.turn)
        .values(status="waiting", ordinal=placed.c.place)
        .returning(turns.c.turn)
    )
    return len(result.all())


def expire_paused(engine: Engine) -> int:
    """Let turns go on, to fail, whose question nobody answered in time; return how many."""
    late = (
        select(turns.c.session)
        .where(turns.c.pause_expires_at <= NOW)
        .order_by(turns.c.pause_expires_at)
        .limit(PAGE)
    )
    with translated(str(engine.url)):
        with engine.connect() as connection:
            found = list(connection.scalars(late))
        return sum(_expire_in(engine, session) for session in sorted(found))


def _expire_in(engine: Engine, session: str) -> int:
    with engine.begin() as connection:
        lock = (
            select(sessions.c.status)
            .where(sessions.c.session == session, sessions.c.status == "paused")
            .with_for_update(key_share=True, skip_locked=True)
        )
        if connection.execute(lock).one_or_none() is None:
            return 0
        late = (
            turns.c.session == session,
            turns.c.status == "paused",
            turns.c.pause_expires_at <= NOW,
        )
        noted = select(
            turns.c.session, turns.c.turn, literal("expired"), turns.c.pause["pause"].astext
        ).where(*late)
        connection.execute(
            insert(steps)
            .from_select(["session", "turn", "kind", "id"], noted)
            .on_conflict_do_nothing()
        )
        expired = connection.execute(
            update(turns)
            .where(*late)
            .values(status="waiting", pause=null(), pause_expires_at=null())
            .returning(turns.c.turn)
        ).all()
        if expired:
            connection.execute(
                update(sessions)
                .where(sessions.c.session == session)
                .values(status="runnable", runnable_since=NOW)
            )
        return len(expired)


def take_stranded(
    engine: Engine, *, lease: timedelta, bell: timedelta, limit: int
) -> list[tuple[str, str]]:
    """Return (session, turn) that nobody alive plays, the fairest first, and note them as rung.

    Args:
        lease: a silent worker is dead after it.
        bell: a bell that was sent less than this ago may still arrive.
        limit: how many the caller has room for.
    """
    if limit <= 0:
        return []
    dead = ~(
        select(literal(1))
        .where(workers.c.worker == sessions.c.owner, workers.c.beat_at > NOW - lease)
        .exists()
    )
    stranded = (
        select(sessions.c.session)
        .where(
            (sessions.c.status == "runnable") | ((sessions.c.status == "playing") & dead),
            sessions.c.rung_at.is_(None) | (sessions.c.rung_at < NOW - bell),
        )
        .order_by(sessions.c.priority.desc(), sessions.c.runnable_since.asc().nulls_first())
        .limit(min(limit, PAGE))
        .with_for_update(key_share=True, skip_locked=True)
        .cte("stranded")
    )
    next_turn = (
        select(turns.c.turn)
        .where(turns.c.session == sessions.c.session, turns.c.status.in_(["waiting", "playing"]))
        .order_by(turns.c.ordinal)
        .limit(1)
        .scalar_subquery()
    )
    ring = (
        update(sessions)
        .where(sessions.c.session == stranded.c.session)
        .values(rung_at=NOW)
        .returning(sessions.c.session, next_turn)
    )
    with translated(str(engine.url)), engine.begin() as connection:
        return [(session, turn or "") for session, turn in connection.execute(ring)]


def unpublished(engine: Engine, *, older_than: timedelta) -> list[tuple[TerminalEvent, int, int]]:
    """Return terminal events that nobody published, each with last seq and transcript length."""
    query = (
        select(
            turns.c.session, turns.c.turn, turns.c.outbox, sessions.c.last_seq, sessions.c.messages
        )
        .join(sessions, sessions.c.session == turns.c.session)
        .where(
            turns.c.outbox.is_not(None),
            func.coalesce(turns.c.settled_at, turns.c.paused_at) < NOW - older_than,
        )
        .order_by(turns.c.session, turns.c.settled_at)
        .limit(PAGE)
    )
    with translated(str(engine.url)), engine.connect() as connection:
        return [
            (
                outbox_event(row.session, row.turn, row.outbox),
                row.last_seq,
                row.messages,
            )
            for row in connection.execute(query)
        ]


def owned_by(engine: Engine, worker: str) -> dict[str, int]:
    """Return the sessions that the database says ``worker`` plays, each with its fence."""
    query = select(sessions.c.session, sessions.c.fence).where(sessions.c.owner == worker)
    with translated(str(engine.url)), engine.connect() as connection:
        return {row.session: row.fence for row in connection.execute(query)}


def give_back_owned(engine: Engine, worker: str, session: str, fence: int) -> None:
    """Give free a session that ``worker`` owns by the database but does not play."""
    statement = (
        update(sessions)
        .where(sessions.c.session == session, sessions.c.owner == worker, sessions.c.fence == fence)
        .values(
            owner=None,
            status="runnable",
            runnable_since=sessions.c.updated_at,
            rung_at=None,
            updated_at=NOW,
        )
    )
    with translated(str(engine.url)), engine.begin() as connection:
        connection.execute(statement)


def cancelled_among(engine: Engine, playing: Iterable[str], worker: str) -> dict[str, str]:
    """Return session -> reason for turns that ``worker`` plays and that were asked to stop."""
    query = (
        select(turns.c.session, turns.c.cancel_reason)
        .join(sessions, sessions.c.session == turns.c.session)
        .where(
            sessions.c.owner == worker,
            turns.c.session.in_(list(playing)),
            turns.c.status == "playing",
            turns.c.cancel_reason.is_not(None),
        )
    )
    with translated(str(engine.url)), engine.connect() as connection:
        return {row.session: row.cancel_reason for row in connection.execute(query)}


def forget_published(engine: Engine, event: TerminalEvent) -> None:
    """Note that a terminal event is in the log."""
    rows = [{"session": event.session, "turn": event.turn, "fence": event.fence}]
    with translated(str(engine.url)), engine.begin() as connection:
        connection.execute(CLEAR_OUTBOX, {"rows": rows})

"""Intake and claim, in the order in which a turn meets them."""

from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Interval,
    SmallInteger,
    Text,
    bindparam,
    case,
    column,
    func,
    literal,
    null,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert

from turnline_workers.store.schema import TIMESTAMP, messages, sessions, steps, turns, workers
from turnline_workers.store.statements.parts import (
    FREE,
    NEXT_RUNNABLE,
    NOW,
    OPEN,
    SESSION,
    TURN,
    WORKER,
    rows_given,
)

LOCK = (
    select(
        sessions.c.session,
        sessions.c.status,
        sessions.c.owner,
        sessions.c.fence,
        sessions.c.inbox_cursor,
        sessions.c.refused_cursor,
        sessions.c.last_ordinal,
        sessions.c.last_seq,
        sessions.c.messages,
        sessions.c.view_head,
        sessions.c.view_start,
        sessions.c.private,
        NOW.label("now"),
    )
    .where(sessions.c.session == SESSION)
    .with_for_update(key_share=True)
)
"""Lock a session's row until the transaction ends (FOR NO KEY UPDATE: foreign keys may pass)."""

CREATE = insert(sessions).values(session=SESSION).on_conflict_do_nothing()
"""Make the row of a session that is new."""

ALIVE = select(literal(1)).where(
    workers.c.worker == WORKER,
    workers.c.beat_at > NOW - bindparam("lease", type_=Interval()),
)
"""A row if the worker's heartbeat is younger than its lease."""

_arrival = rows_given(
    "arrival",
    column("turn", Text()),
    column("ordinal", BigInteger()),
    column("position", Text()),
    column("late", Boolean()),
    column("fingerprint", Text()),
    column("status", Text()),
    column("user_id", Text()),
    column("assistant", Text()),
    column("message", JSONB()),
    column("context", JSONB()),
    column("priority", SmallInteger()),
    column("not_before", TIMESTAMP),
)

INSERT_TURNS = (
    insert(turns)
    .from_select(
        ["session", *[each.name for each in _arrival.c]],
        select(SESSION, *_arrival.c),
    )
    .on_conflict_do_nothing(index_elements=["session", "turn"])
    .returning(turns.c.turn)
)
"""Put arrivals into the mailbox; a turn id enters once."""

KNOWN = select(turns.c.turn, turns.c.fingerprint, turns.c.position).where(
    turns.c.session == SESSION, turns.c.turn == func.any(bindparam("turns", type_=ARRAY(Text())))
)
"""What is stored under ids that came again."""

_may_wait = turns.c.status.in_(["waiting", "delayed"]) & (turns.c.attempts == 0)

CANCEL = (
    update(turns)
    .where(
        turns.c.session == SESSION,
        turns.c.turn == TURN,
        turns.c.status.in_(["waiting", "delayed", "playing", "paused"]),
    )
    .values(
        # What was paused is played to its end, which keeps what it has said.
        status=case(
            (_may_wait, "cancelled"),
            (turns.c.status == "paused", "waiting"),
            else_=turns.c.status,
        ),
        pause=null(),
        pause_expires_at=null(),
        settled_at=case((_may_wait, NOW), else_=null()),
        outbox=case((_may_wait, bindparam("new_outbox", type_=JSONB())), else_=turns.c.outbox),
        cancel_reason=func.coalesce(turns.c.cancel_reason, bindparam("new_reason", type_=Text())),
    )
    .returning(turns.c.status)
)
"""Settle a turn that waits, or note that the one being played should stop."""

QUESTION = select(turns.c.pause).where(
    turns.c.session == SESSION, turns.c.turn == TURN, turns.c.status == "paused"
)
"""What a paused turn waits for."""

RESUME = (
    update(turns)
    .where(turns.c.session == SESSION, turns.c.turn == TURN, turns.c.status == "paused")
    .values(status="waiting", pause=null(), pause_expires_at=null())
)
"""Let a paused turn go on."""

ANSWER = (
    insert(steps)
    .values(
        session=SESSION,
        turn=TURN,
        kind="answer",
        id=bindparam("for_pause", type_=Text()),
        value=bindparam("new_value", type_=JSONB()),
    )
    .on_conflict_do_nothing()
)
"""Write an answer into the journal; the first one stays."""

_next_open = (
    select(turns.c.turn)
    .where(turns.c.session == SESSION, OPEN)
    .order_by(turns.c.ordinal)
    .limit(1)
    .scalar_subquery()
)

WAITS_FOR = select(turns.c.turn, turns.c.pause).where(
    turns.c.session == SESSION, turns.c.turn == _next_open, turns.c.status == "paused"
)
"""Which turn a paused session waits for, and what that one asks."""

PICK = (
    update(turns)
    .where(
        turns.c.session == SESSION,
        turns.c.turn == _next_open,
        turns.c.status.in_(["waiting", "playing"]),
    )
    .values(
        status="playing",
        attempts=turns.c.attempts + 1,
        losses=turns.c.losses + case((turns.c.status == "playing", 1), else_=0),
        fence=bindparam("next_fence", type_=BigInteger()),
        started_at=func.coalesce(turns.c.started_at, NOW),
    )
    .returning(
        turns.c.turn,
        turns.c.attempts,
        turns.c.losses,
        turns.c.message,
        turns.c.context,
        turns.c.assistant,
        turns.c.cancel_reason,
    )
)
"""Begin an attempt at the session's oldest open turn: a dead worker's, or the next one waiting."""

LOAD = union_all(
    select(messages.c.index, messages.c.turn, messages.c.role, messages.c.content).where(
        messages.c.session == SESSION,
        messages.c.index >= bindparam("view_start", type_=BigInteger()),
    ),
    select(null().cast(BigInteger()), turns.c.turn, null().cast(Text()), turns.c.outbox).where(
        turns.c.session == SESSION, turns.c.outbox.is_not(None)
    ),
).order_by("index")
"""The part of the view that is plain transcript, and terminal events that nobody published yet."""

_SAVE: dict[str, Any] = {
    "inbox_cursor": bindparam("new_cursor", type_=Text()),
    "refused_cursor": bindparam("new_refused", type_=Text()),
    "last_ordinal": bindparam("new_ordinal", type_=BigInteger()),
    "user_id": func.coalesce(sessions.c.user_id, bindparam("new_user", type_=Text())),
    "updated_at": NOW,
}

OWN = (
    update(sessions)
    .where(sessions.c.session == SESSION)
    .values(
        status="playing",
        owner=WORKER,
        fence=sessions.c.fence + 1,
        runnable_since=None,
        **_SAVE,
    )
)
"""Save the intake and take the session."""

SAVE_OWNED = update(sessions).where(sessions.c.session == SESSION).values(**_SAVE)
"""Save the intake of a session that a live worker plays."""

LEAVE = (
    update(sessions)
    .where(sessions.c.session == SESSION)
    .values(
        rung_at=None,
        runnable_since=case(
            (NEXT_RUNNABLE.is_(None), null()),
            # What a dead worker left stands in line since then, and not behind everybody.
            (sessions.c.owner.is_not(None), sessions.c.updated_at),
            else_=func.coalesce(sessions.c.runnable_since, NOW),
        ),
        **FREE,
        **_SAVE,
    )
    .returning(NEXT_RUNNABLE)
)
"""Save the intake of a session that nobody alive plays, and leave it to who has a slot."""

"""Commit, giving back, and the outbox."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Interval,
    Text,
    bindparam,
    case,
    column,
    delete,
    func,
    null,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert

from turnline_workers.store.schema import messages, sessions, steps, turns
from turnline_workers.store.statements.parts import (
    FENCE,
    FREE,
    NEXT_RUNNABLE,
    NOW,
    SESSION,
    TURN,
    WORKER,
    rows_given,
)

HOLD = (
    select(sessions.c.fence, sessions.c.owner, sessions.c.messages)
    .where(sessions.c.session == SESSION)
    .with_for_update(key_share=True)
)
"""Lock the row and read what a claim is checked by."""

_said = rows_given(
    "said",
    column("index", BigInteger()),
    column("role", Text()),
    column("content", JSONB()),
)

APPEND = insert(messages).from_select(
    ["session", "turn", "index", "role", "content"],
    select(SESSION, TURN, *_said.c),
)
"""Append to the transcript."""

_recorded = rows_given(
    "recorded",
    column("kind", Text()),
    column("id", Text()),
    column("value", JSONB()),
)

_held = (
    select(sessions.c.session)
    .where(sessions.c.session == SESSION, sessions.c.owner == WORKER, sessions.c.fence == FENCE)
    .with_for_update(key_share=True)
    .cte("held")
)

_written = (
    insert(steps)
    .from_select(
        ["session", "turn", "kind", "id", "value"],
        select(_held.c.session, TURN, *_recorded.c).join_from(_held, _recorded, true()),
    )
    .on_conflict_do_nothing()
    .cte("written")
)

RECORD = select(_held.c.session).add_cte(_written)
"""Write lines of the journal; a row if the claim is still valid, and nothing at all if it is not.

One statement, so that the session's row is locked for no longer.  If it had to wait for the row,
the claim is checked against what the row is then.
"""

FORGET_STEPS = delete(steps).where(steps.c.session == SESSION, steps.c.turn == TURN)
"""Drop the journal of a turn that has its outcome."""

SETTLE = (
    update(turns)
    .where(
        turns.c.session == SESSION,
        turns.c.turn == TURN,
        turns.c.status == "playing",
        turns.c.fence == FENCE,
    )
    .values(
        status=bindparam("new_status", type_=Text()),
        settled_at=NOW,
        error=bindparam("new_error", type_=JSONB(none_as_null=True)),
        usage=bindparam("new_usage", type_=JSONB(none_as_null=True)),
        outbox=bindparam("new_outbox", type_=JSONB()),
    )
    .returning(turns.c.turn)
)
"""Give the turn its one outcome."""

_will_ring: Any = bindparam("will_ring", type_=Boolean())

PAUSE = (
    update(turns)
    .where(
        turns.c.session == SESSION,
        turns.c.turn == TURN,
        turns.c.status == "playing",
        turns.c.fence == FENCE,
    )
    .values(
        status="paused",
        pause=bindparam("new_pause", type_=JSONB()),
        paused_at=NOW,
        pause_expires_at=NOW + bindparam("expires_in", type_=Interval()),
        outbox=bindparam("new_outbox", type_=JSONB()),
    )
    .returning(turns.c.turn)
)
"""Let the turn wait for an answer, without an outcome."""

LEAVE_PAUSED = (
    update(sessions)
    .where(sessions.c.session == SESSION)
    .values(
        runnable_since=null(),
        rung_at=null(),
        last_seq=func.greatest(sessions.c.last_seq, bindparam("new_seq", type_=BigInteger())),
        updated_at=NOW,
        **FREE,
    )
)
"""Give the session free while its turn waits for an answer."""

RELEASE = (
    update(sessions)
    .where(sessions.c.session == SESSION)
    .values(
        runnable_since=case((NEXT_RUNNABLE.is_(None), null()), else_=NOW),
        rung_at=case((NEXT_RUNNABLE.is_(None) | ~_will_ring, null()), else_=NOW),
        messages=bindparam("new_messages", type_=BigInteger()),
        view_head=bindparam("new_head", type_=JSONB()),
        view_start=bindparam("new_start", type_=BigInteger()),
        private=bindparam("new_private", type_=JSONB()),
        last_seq=func.greatest(sessions.c.last_seq, bindparam("new_seq", type_=BigInteger())),
        updated_at=NOW,
        **FREE,
    )
    .returning(NEXT_RUNNABLE)
)
"""Store the state and give the session free; tells which turn waits next."""

GIVE_BACK = (
    update(sessions)
    .where(
        sessions.c.session == SESSION,
        sessions.c.owner == WORKER,
        sessions.c.fence == FENCE,
    )
    .values(
        owner=None,
        status="runnable",
        runnable_since=sessions.c.updated_at,
        rung_at=case((bindparam("at_once", type_=Boolean()), null()), else_=NOW),
        updated_at=NOW,
    )
    .returning(sessions.c.session)
)
"""Give a claim back without an outcome: the turn is tried again, at once or after a while."""

PUT_BACK = (
    update(turns)
    .where(turns.c.session == SESSION, turns.c.turn == TURN, turns.c.status == "playing")
    .values(status="waiting")
)
"""Let a turn that was handed over wait again: it took nobody down."""

SETTLED_BY = select(turns.c.status).where(
    turns.c.session == SESSION,
    turns.c.turn == TURN,
    turns.c.fence == FENCE,
    turns.c.settled_at.is_not(None),
)
"""A row if this very claim settled the turn: its commit went through, only the answer was lost."""

_published = rows_given(
    "published",
    column("session", Text()),
    column("turn", Text()),
    column("fence", BigInteger()),
)

CLEAR_OUTBOX = (
    update(turns)
    .where(
        tuple_(turns.c.session, turns.c.turn).in_(
            select(turns.c.session, turns.c.turn)
            .join(
                _published,
                (turns.c.session == _published.c.session) & (turns.c.turn == _published.c.turn),
            )
            # Not what the turn has to tell by now, if it was paused before and has ended since.
            .where(turns.c.outbox["fence"].as_integer().is_not_distinct_from(_published.c.fence))
            .order_by(turns.c.session, turns.c.turn)
            .with_for_update(of=turns, skip_locked=True, key_share=True)
        )
    )
    .values(outbox=None)
)
"""Forget terminal events that were published.  One that is skipped is cleared by the sweep."""

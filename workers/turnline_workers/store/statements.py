"""Every statement of a turn, in the order in which a turn meets them.

``docs/architecture.md`` counts them, and a test does.
"""

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
    delete,
    func,
    literal,
    null,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert

from turnline_workers.store.schema import TIMESTAMP, messages, sessions, turns, workers

NOW = func.clock_timestamp()
SETTLED = ("completed", "failed", "cancelled", "dead")

_session: Any = bindparam("for_session", type_=Text())
_turn: Any = bindparam("for_turn", type_=Text())
_fence: Any = bindparam("for_fence", type_=BigInteger())
_worker: Any = bindparam("by_worker", type_=Text())
_open = turns.c.status.in_(["waiting", "playing"])

# -- receive ---------------------------------------------------------------------------------

LOCK = (
    select(
        sessions.c.session,
        sessions.c.status,
        sessions.c.owner,
        sessions.c.fence,
        sessions.c.inbox_cursor,
        sessions.c.last_ordinal,
        sessions.c.last_seq,
        sessions.c.messages,
        sessions.c.view_head,
        sessions.c.view_start,
        sessions.c.private,
        NOW.label("now"),
    )
    .where(sessions.c.session == _session)
    .with_for_update(key_share=True)
)
"""Lock a session's row until the transaction ends (FOR NO KEY UPDATE: foreign keys may pass)."""

CREATE = insert(sessions).values(session=_session).on_conflict_do_nothing()
"""Make the row of a session that is new."""

ALIVE = select(literal(1)).where(
    workers.c.worker == _worker,
    workers.c.beat_at > NOW - bindparam("lease", type_=Interval()),
)
"""A row if the worker's heartbeat is younger than its lease."""

_arrival = (
    func.jsonb_to_recordset(bindparam("rows", type_=JSONB()))
    .table_valued(
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
        name="arrival",
    )
    .render_derived(with_types=True)
)

INSERT_TURNS = (
    insert(turns)
    .from_select(
        ["session", *[each.name for each in _arrival.c]],
        select(_session, *_arrival.c),
    )
    .on_conflict_do_nothing(index_elements=["session", "turn"])
    .returning(turns.c.turn)
)
"""Put arrivals into the mailbox; a turn id enters once."""

KNOWN = select(turns.c.turn, turns.c.fingerprint, turns.c.position).where(
    turns.c.session == _session, turns.c.turn == func.any(bindparam("turns", type_=ARRAY(Text())))
)
"""What is stored under ids that came again."""

_may_wait = turns.c.status.in_(["waiting", "delayed"]) & (turns.c.attempts == 0)

CANCEL = (
    update(turns)
    .where(
        turns.c.session == _session,
        turns.c.turn == _turn,
        turns.c.status.in_(["waiting", "delayed", "playing"]),
    )
    .values(
        status=case((_may_wait, "cancelled"), else_=turns.c.status),
        settled_at=case((_may_wait, NOW), else_=null()),
        outbox=case((_may_wait, bindparam("new_outbox", type_=JSONB())), else_=null()),
        cancel_reason=func.coalesce(turns.c.cancel_reason, bindparam("new_reason", type_=Text())),
    )
    .returning(turns.c.status)
)
"""Settle a turn that waits, or note that the one being played should stop."""

_next_open = (
    select(turns.c.turn)
    .where(turns.c.session == _session, _open)
    .order_by(turns.c.ordinal)
    .limit(1)
    .scalar_subquery()
)

PICK = (
    update(turns)
    .where(turns.c.session == _session, turns.c.turn == _next_open)
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
        messages.c.session == _session,
        messages.c.index >= bindparam("view_start", type_=BigInteger()),
    ),
    select(null().cast(BigInteger()), turns.c.turn, null().cast(Text()), turns.c.outbox).where(
        turns.c.session == _session, turns.c.outbox.is_not(None)
    ),
).order_by("index")
"""The part of the view that is plain transcript, and terminal events that nobody published yet."""

_SAVE: dict[str, Any] = {
    "inbox_cursor": bindparam("new_cursor", type_=Text()),
    "last_ordinal": bindparam("new_ordinal", type_=BigInteger()),
    "user_id": func.coalesce(sessions.c.user_id, bindparam("new_user", type_=Text())),
    "updated_at": NOW,
}

OWN = (
    update(sessions)
    .where(sessions.c.session == _session)
    .values(
        status="playing",
        owner=_worker,
        fence=sessions.c.fence + 1,
        runnable_since=None,
        **_SAVE,
    )
)
"""Save the intake and take the session."""

SAVE_OWNED = update(sessions).where(sessions.c.session == _session).values(**_SAVE)
"""Save the intake of a session that a live worker plays."""

_waiting = (
    select(turns.c.turn, turns.c.priority)
    .where(turns.c.session == _session, _open)
    .order_by(turns.c.ordinal)
    .limit(1)
    .cte("waiting")
)
_waiting_turn = select(_waiting.c.turn).scalar_subquery()
_FREE: dict[str, Any] = {
    "owner": None,
    "status": case((_waiting_turn.is_(None), "idle"), else_="runnable"),
    "priority": func.coalesce(select(_waiting.c.priority).scalar_subquery(), sessions.c.priority),
}

LEAVE = (
    update(sessions)
    .where(sessions.c.session == _session)
    .values(
        rung_at=None,
        runnable_since=case(
            (_waiting_turn.is_(None), null()),
            # What a dead worker left stands in line since then, and not behind everybody.
            (sessions.c.owner.is_not(None), sessions.c.updated_at),
            else_=func.coalesce(sessions.c.runnable_since, NOW),
        ),
        **_FREE,
        **_SAVE,
    )
    .returning(_waiting_turn)
)
"""Save the intake of a session that nobody alive plays, and leave it to who has a slot."""

# -- commit ----------------------------------------------------------------------------------

HOLD = (
    select(sessions.c.fence, sessions.c.owner, sessions.c.messages)
    .where(sessions.c.session == _session)
    .with_for_update(key_share=True)
)
"""Lock the row and read what a claim is checked by."""

_said = (
    func.jsonb_to_recordset(bindparam("rows", type_=JSONB()))
    .table_valued(
        column("index", BigInteger()),
        column("role", Text()),
        column("content", JSONB()),
        name="said",
    )
    .render_derived(with_types=True)
)

APPEND = insert(messages).from_select(
    ["session", "turn", "index", "role", "content"],
    select(_session, _turn, *_said.c),
)
"""Append to the transcript."""

SETTLE = (
    update(turns)
    .where(
        turns.c.session == _session,
        turns.c.turn == _turn,
        turns.c.status == "playing",
        turns.c.fence == _fence,
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

RELEASE = (
    update(sessions)
    .where(sessions.c.session == _session)
    .values(
        runnable_since=case((_waiting_turn.is_(None), null()), else_=NOW),
        rung_at=case((_waiting_turn.is_(None) | ~_will_ring, null()), else_=NOW),
        messages=bindparam("new_messages", type_=BigInteger()),
        view_head=bindparam("new_head", type_=JSONB()),
        view_start=bindparam("new_start", type_=BigInteger()),
        private=bindparam("new_private", type_=JSONB()),
        last_seq=func.greatest(sessions.c.last_seq, bindparam("new_seq", type_=BigInteger())),
        updated_at=NOW,
        **_FREE,
    )
    .returning(_waiting_turn)
)
"""Store the state and give the session free; tells which turn waits next."""

GIVE_BACK = (
    update(sessions)
    .where(
        sessions.c.session == _session,
        sessions.c.owner == _worker,
        sessions.c.fence == _fence,
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
    .where(turns.c.session == _session, turns.c.turn == _turn, turns.c.status == "playing")
    .values(status="waiting")
)
"""Let a turn that was handed over wait again: it took nobody down."""

SETTLED_BY = select(turns.c.status).where(
    turns.c.session == _session,
    turns.c.turn == _turn,
    turns.c.fence == _fence,
    turns.c.settled_at.is_not(None),
)
"""A row if this very claim settled the turn: its commit went through, only the answer was lost."""

# -- outbox ----------------------------------------------------------------------------------

_published = (
    func.jsonb_to_recordset(bindparam("rows", type_=JSONB()))
    .table_valued(column("session", Text()), column("turn", Text()), name="published")
    .render_derived(with_types=True)
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
            .where(turns.c.outbox.is_not(None))
            .order_by(turns.c.session, turns.c.turn)
            .with_for_update(of=turns, skip_locked=True, key_share=True)
        )
    )
    .values(outbox=None)
)
"""Forget terminal events that were published.  One that is skipped is cleared by the sweep."""

BURY_WORKERS = delete(workers).where(
    workers.c.beat_at < NOW - bindparam("age", type_=Interval()),
    ~select(literal(1)).where(sessions.c.owner == workers.c.worker).exists(),
)
"""Forget workers that are long gone and own nothing."""

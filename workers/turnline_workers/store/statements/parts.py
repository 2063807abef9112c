"""What the statements of intake and commit have in common."""

from typing import Any

from sqlalchemy import BigInteger, Text, bindparam, case, func, select

from turnline_workers.store.schema import sessions, turns

NOW = func.clock_timestamp()
"""The only clock that decides anything: that of Postgres."""

SESSION: Any = bindparam("for_session", type_=Text())
TURN: Any = bindparam("for_turn", type_=Text())
FENCE: Any = bindparam("for_fence", type_=BigInteger())
WORKER: Any = bindparam("by_worker", type_=Text())
OPEN = turns.c.status.in_(["waiting", "playing"])
"""Turns that have a place and no outcome."""

_waiting = (
    select(turns.c.turn, turns.c.priority)
    .where(turns.c.session == SESSION, OPEN)
    .order_by(turns.c.ordinal)
    .limit(1)
    .cte("waiting")
)
NEXT_OPEN = select(_waiting.c.turn).scalar_subquery()
FREE: dict[str, Any] = {
    "owner": None,
    "status": case((NEXT_OPEN.is_(None), "idle"), else_="runnable"),
    "priority": func.coalesce(select(_waiting.c.priority).scalar_subquery(), sessions.c.priority),
}

"""What the statements of intake and commit have in common."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnClause,
    TableValuedAlias,
    Text,
    bindparam,
    case,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB

from turnline_workers.store.schema import sessions, turns

NOW = func.clock_timestamp()
"""The only clock that decides anything: that of Postgres."""

SESSION: Any = bindparam("for_session", type_=Text())
TURN: Any = bindparam("for_turn", type_=Text())
FENCE: Any = bindparam("for_fence", type_=BigInteger())
WORKER: Any = bindparam("by_worker", type_=Text())
OPEN = turns.c.status.in_(["waiting", "playing", "paused"])
"""Turns that have a place and no outcome."""


def rows_given(name: str, *columns: ColumnClause[Any]) -> TableValuedAlias:
    """Return the bind parameter ``rows``, a JSON list of objects, as a table."""
    rows = func.jsonb_to_recordset(bindparam("rows", type_=JSONB()))
    return rows.table_valued(*columns, name=name).render_derived(with_types=True)


_waiting = (
    select(turns.c.turn, turns.c.priority, turns.c.status)
    .where(turns.c.session == SESSION, OPEN)
    .order_by(turns.c.ordinal)
    .limit(1)
    .cte("waiting")
)
NEXT_RUNNABLE = select(_waiting.c.turn).where(_waiting.c.status != "paused").scalar_subquery()
"""The session's oldest open turn; None if there is none, or if it waits for an answer: the turns
behind a paused one wait with it."""

FREE: dict[str, Any] = {
    "owner": None,
    "status": func.coalesce(
        select(case((_waiting.c.status == "paused", "paused"), else_="runnable")).scalar_subquery(),
        "idle",
    ),
    "priority": func.coalesce(select(_waiting.c.priority).scalar_subquery(), sessions.c.priority),
}

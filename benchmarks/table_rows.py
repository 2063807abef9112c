"""How many rows of each table were read and written, by Postgres' own counters."""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import psycopg

_COUNTERS = """
    SELECT relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0),
           n_tup_ins, n_tup_upd, n_tup_del
    FROM pg_stat_user_tables
    WHERE schemaname = 'turnline' AND relname IN ('sessions', 'turns', 'messages', 'steps')
"""

IDLE = 10.5
"""Seconds after which a connection that does nothing has told its counts."""
PATIENCE = 60.0
"""Seconds after which somebody else must be at work."""
PAUSE = 0.5
UNCHANGED = 8
"""Looks at counters, half a second apart, that find nothing new."""


class Rows(NamedTuple):
    """Rows of one table."""

    read: int
    inserted: int
    updated: int
    deleted: int


def count(connection: "psycopg.Connection[Any]", nudge: Callable[[], None]) -> dict[str, Rows]:
    """Return table -> rows touched since the database was made, once everybody has told.

    Who asks here must not read the tables meanwhile, because that counts too; and must have
    waited for ``IDLE`` after the worker started, whose sweep and heartbeat tell late.

    Args:
        nudge: makes one of the worker's connections run a transaction that touches no row.
            Connections tell their counts at the end of a transaction, once per second at most.

    Raises:
        TimeoutError: the counts do not come to rest.
    """
    deadline = time.monotonic() + PATIENCE
    before: dict[str, Rows] = {}
    unchanged = 0
    while unchanged < UNCHANGED:
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {PATIENCE:g} s rows are still read or written: {before}")
        nudge()
        time.sleep(PAUSE)
        found = connection.execute(_COUNTERS, prepare=False).fetchall()
        now = {name: Rows(*numbers) for name, *numbers in found}
        unchanged = unchanged + 1 if now == before else 0
        before = now
    return before


def touched(before: Mapping[str, Rows], after: Mapping[str, Rows]) -> dict[str, Rows]:
    """Return table -> rows touched between two counts; tables without any are left out."""
    found = {
        table: Rows(*(new - old for new, old in zip(after[table], before[table], strict=True)))
        for table in after
    }
    return {table: rows for table, rows in found.items() if any(rows)}

"""Makes sessions of any length at once: rows as so many played turns would have left them.

``turnline verify`` holds on them.  Their logs have expired, as after an hour of silence.
"""

from typing import Any

import psycopg

TABLES = ("sessions", "turns", "messages")
EVENTS_PER_TURN = 8
SAID = "Something that is about as long as what people and models say to each other. " * 3

_SESSION = """
    INSERT INTO turnline.sessions
        (session, fence, inbox_cursor, last_ordinal, last_seq, messages, view_start)
    VALUES (%(session)s, %(turns)s, %(turns)s || '-0', %(turns)s, %(events)s,
            2 * %(turns)s, %(start)s)
"""

_TURNS = """
    INSERT INTO turnline.turns
        (session, turn, ordinal, position, fingerprint, status, attempts, fence, assistant,
         message, usage, started_at, settled_at)
    SELECT %(session)s, 'turn-' || n, n, n || '-0', md5(n::text), 'completed', 1, n, 'default',
           jsonb_build_object('role', 'user', 'content', %(said)s::text),
           '{"input": 1, "output": 1}', clock_timestamp(), clock_timestamp()
    FROM generate_series(1, %(turns)s) AS n
"""

_MESSAGES = """
    INSERT INTO turnline.messages (session, "index", turn, role, content)
    SELECT %(session)s, n, 'turn-' || (n + 1) / 2,
           CASE n %% 2 WHEN 1 THEN 'user' ELSE 'assistant' END, to_jsonb(%(said)s::text)
    FROM generate_series(1, 2 * %(turns)s) AS n
"""


_EMPTY_SESSIONS = """
    INSERT INTO turnline.sessions (session) SELECT 'empty-' || n FROM generate_series(1, 2000) AS n
"""


def fill(
    connection: "psycopg.Connection[Any]", session: str, messages: int, *, window: int | None
) -> None:
    """Make a session in which so many messages, two per turn, were said.

    Args:
        window: turns that its view shows, as ``keep_last_turns`` leaves it; None for all.
    """
    turns = messages // 2
    start = 1 if window is None else max(1, 2 * (turns - window) + 1)
    values = {
        "session": session,
        "turns": turns,
        "events": EVENTS_PER_TURN * turns,
        "start": start,
        "said": SAID,
    }
    for statement in (_SESSION, _TURNS, _MESSAGES):
        connection.execute(statement, values)


def crowd(connection: "psycopg.Connection[Any]") -> None:
    """Make sessions that nobody looks at.

    In a table of a few rows, or where one session is most of them, Postgres reads everything
    instead of an index, which tells nothing of a database in use.
    """
    for number in range(40):
        fill(connection, f"crowd-{number}", 500, window=None)
    connection.execute(_EMPTY_SESSIONS)


def settle_down(connection: "psycopg.Connection[Any]") -> None:
    """Leave the planner with true numbers, and autovacuum with nothing to do."""
    for table in TABLES:
        connection.execute(f"ALTER TABLE turnline.{table} SET (autovacuum_enabled = off)")
        connection.execute(f"VACUUM (ANALYZE) turnline.{table}")

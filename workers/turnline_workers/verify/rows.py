"""The rules that rows in Postgres must follow.  Each query returns the rows that break its rule."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection, text

PATIENCE: Final = timedelta(seconds=30)
"""What takes longer than this without a live path to an end is stuck."""

ROWS_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken rule and one row that breaks it."""

    rule: str
    session: str
    detail: dict[str, Any]


ORDER: Final = """
    SELECT session, turn, ordinal, fence, previous AS fence_of_the_turn_before
    FROM (
        SELECT session, turn, ordinal, fence,
               max(fence) OVER (PARTITION BY session ORDER BY ordinal
                                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS previous
        FROM turnline.turns
        WHERE fence IS NOT NULL AND (CAST(:session AS text) IS NULL OR session = :session)
    ) AS played
    WHERE previous >= fence
"""

POSITIONS: Final = """
    SELECT session, turn, ordinal, position, before AS position_of_the_turn_before
    FROM (
        SELECT session, turn, ordinal, position,
               lag(position) OVER w AS before,
               string_to_array(position, '-')::numeric[] AS here,
               lag(string_to_array(position, '-')::numeric[]) OVER w AS there
        FROM turnline.turns
        WHERE NOT late AND not_before IS NULL
          AND (CAST(:session AS text) IS NULL OR session = :session)
        WINDOW w AS (PARTITION BY session ORDER BY ordinal)
    ) AS placed
    WHERE there >= here
"""

OVERTAKEN: Final = """
    SELECT waiting.session, waiting.turn, waiting.ordinal, waiting.status
    FROM turnline.turns AS waiting
    WHERE waiting.status IN ('waiting', 'playing')
      AND (CAST(:session AS text) IS NULL OR waiting.session = :session)
      AND EXISTS (
          SELECT 1 FROM turnline.turns AS later
          WHERE later.session = waiting.session AND later.ordinal > waiting.ordinal
            AND later.fence IS NOT NULL)
"""

DENSE: Final = """
    SELECT sessions.session, sessions.messages AS messages_counted,
           count(said."index") AS messages_found, max(said."index") AS last_index
    FROM turnline.sessions LEFT JOIN turnline.messages AS said USING (session)
    WHERE CAST(:session AS text) IS NULL OR sessions.session = :session
    GROUP BY sessions.session
    HAVING count(said."index") <> sessions.messages
        OR coalesce(max(said."index"), 0) <> sessions.messages
"""

PAIRS: Final = """
    SELECT turns.session, turns.turn, turns.status,
           array_agg(said.role ORDER BY said."index") AS roles
    FROM turnline.turns LEFT JOIN turnline.messages AS said USING (session, turn)
    WHERE CAST(:session AS text) IS NULL OR turns.session = :session
    GROUP BY turns.session, turns.turn
    HAVING (turns.fence IS NOT NULL AND turns.settled_at IS NOT NULL)
           <> (coalesce((array_agg(said.role ORDER BY said."index"))[1], '') = 'user')
        OR count(*) FILTER (WHERE said.role = 'user') > 1
        OR (turns.status = 'completed' AND coalesce((turns.usage ->> 'output')::bigint, 0) > 0
            AND count(*) FILTER (WHERE said.role = 'assistant') = 0)
        OR (turns.settled_at IS NULL AND count(said."index") > 0)
"""

TRANSCRIPT_ORDER: Final = """
    SELECT session, "index", turn, ordinal, before AS ordinal_of_the_message_before
    FROM (
        SELECT said.session, said."index", said.turn, turns.ordinal,
               lag(turns.ordinal) OVER (PARTITION BY said.session ORDER BY said."index") AS before
        FROM turnline.messages AS said LEFT JOIN turnline.turns USING (session, turn)
        WHERE CAST(:session AS text) IS NULL OR said.session = :session
    ) AS ordered
    WHERE ordinal IS NULL OR before > ordinal
"""

STUCK_SESSIONS: Final = """
    SELECT sessions.session, sessions.status, sessions.owner, sessions.runnable_since,
           sessions.rung_at, workers.beat_at
    FROM turnline.sessions LEFT JOIN turnline.workers ON workers.worker = sessions.owner
    WHERE (CAST(:session AS text) IS NULL OR sessions.session = :session)
      AND ((sessions.status = 'runnable'
            AND greatest(sessions.runnable_since, sessions.updated_at)
                < clock_timestamp() - 10 * CAST(:patience AS interval))
        OR (sessions.status = 'playing'
            AND coalesce(workers.beat_at, sessions.updated_at)
                < clock_timestamp() - CAST(:patience AS interval))
        OR (sessions.status = 'idle' AND EXISTS (
               SELECT 1 FROM turnline.turns
               WHERE turns.session = sessions.session AND turns.status IN ('waiting', 'playing'))))
"""

STUCK_TURNS: Final = """
    SELECT session, turn, status, settled_at, not_before
    FROM turnline.turns
    WHERE (CAST(:session AS text) IS NULL OR session = :session)
      AND ((outbox IS NOT NULL AND settled_at < clock_timestamp() - CAST(:patience AS interval))
        OR (status = 'delayed' AND not_before < clock_timestamp() - CAST(:patience AS interval)))
"""

RULES: Final = {
    "P2 turns are played in order": ORDER,
    "P2 positions decide the order": POSITIONS,
    "P2 no turn is overtaken": OVERTAKEN,
    "P5 the transcript is dense": DENSE,
    "P5 every settled turn has its messages, once": PAIRS,
    "P2 the transcript follows the order of turns": TRANSCRIPT_ORDER,
    "P9 no session is stuck": STUCK_SESSIONS,
    "P9 no turn is stuck": STUCK_TURNS,
}
"""Rule -> query for the rows that break it.  That a turn has one outcome is a CHECK constraint."""


def broken_rows(connection: Connection, rule: str, session: str | None) -> Iterator[Violation]:
    """Yield the first rows that break ``rule``, in one session or in all."""
    query = text(f"{RULES[rule]} LIMIT {ROWS_SHOWN}")
    parameters: dict[str, Any] = {"session": session}
    if ":patience" in RULES[rule]:
        parameters["patience"] = PATIENCE
    for row in connection.execute(query, parameters).mappings():
        yield Violation(rule, row["session"], {k: v for k, v in row.items() if k != "session"})

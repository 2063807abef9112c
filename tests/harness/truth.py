"""Reads rows and keys as they are, without a line of product code between."""

import json
from typing import Any

import psycopg
import redis
from psycopg.rows import dict_row

Row = dict[str, Any]

_TURNS = "SELECT * FROM turnline.turns WHERE session = %s ORDER BY ordinal NULLS LAST"
_MESSAGES = 'SELECT * FROM turnline.messages WHERE session = %s ORDER BY "index"'
_ENDED = ("completed", "failed", "cancelled", "dead")


class Truth:
    """What Postgres and Redis hold."""

    def __init__(self, database_url: str, redis_url: str) -> None:
        self._database_url = database_url
        self._postgres: psycopg.Connection[Row] | None = None
        self.redis = redis.Redis.from_url(
            redis_url, decode_responses=True, encoding_errors="surrogateescape"
        )

    def close(self) -> None:
        """Close the connections."""
        if self._postgres is not None:
            self._postgres.close()
        self.redis.close()

    def rows(self, query: str, *values: object) -> list[Row]:
        """Return what Postgres answers; if the connection broke meanwhile, on another one."""
        try:
            return self._connection().execute(query, values or None).fetchall()
        except psycopg.OperationalError:
            return self._connection().execute(query, values or None).fetchall()

    def _connection(self) -> "psycopg.Connection[Row]":
        if self._postgres is None or self._postgres.closed:
            self._postgres = psycopg.connect(
                self._database_url, autocommit=True, row_factory=dict_row
            )
        return self._postgres

    def change(self, statement: str, *values: object) -> None:
        """Run a statement that returns nothing."""
        self._connection().execute(statement, values or None)

    def clock(self) -> Any:
        """What time it is in Postgres."""
        return self.rows("SELECT clock_timestamp() AS now")[0]["now"]

    def turns(self, session: str) -> list[Row]:
        """The session's turns in its order, those without a place last."""
        return self.rows(_TURNS, session)

    def turn(self, session: str, turn: str) -> Row:
        """One turn; empty if it is not there."""
        found = self.rows(
            "SELECT * FROM turnline.turns WHERE session = %s AND turn = %s", session, turn
        )
        return found[0] if found else {}

    def status(self, session: str, turn: str) -> str | None:
        """Status of one turn; None if it is not there."""
        return self.turn(session, turn).get("status")

    def ended(self, session: str, turn: str) -> bool:
        """Whether the turn has its outcome."""
        return self.status(session, turn) in _ENDED

    def session(self, session: str) -> Row:
        """The session's row."""
        return self.rows("SELECT * FROM turnline.sessions WHERE session = %s", session)[0]

    def messages(self, session: str) -> list[Row]:
        """The transcript."""
        return self.rows(_MESSAGES, session)

    def transcript(self, session: str) -> list[tuple[str, str, Any]]:
        """Return turn, role and content of each message, to compare with what a reader has."""
        return [(row["turn"], row["role"], row["content"]) for row in self.messages(session)]

    def unfinished(self) -> int:
        """How many turns have no outcome yet, in the whole database."""
        query = "SELECT count(*) AS n FROM turnline.turns WHERE status <> ALL(%s)"
        return int(self.rows(query, list(_ENDED))[0]["n"])

    def ends(self) -> int:
        """How many turns have their outcome, in the whole database."""
        query = "SELECT count(*) AS n FROM turnline.turns WHERE settled_at IS NOT NULL"
        return int(self.rows(query)[0]["n"])

    def outbox(self) -> int:
        """How many terminal events are not known to be published."""
        query = "SELECT count(*) AS n FROM turnline.turns WHERE outbox IS NOT NULL"
        return int(self.rows(query)[0]["n"])

    def owners(self) -> dict[str, str]:
        """Session -> owner, for sessions that have one."""
        query = "SELECT session, owner FROM turnline.sessions WHERE owner IS NOT NULL"
        return {row["session"]: row["owner"] for row in self.rows(query)}

    def workers(self) -> set[str]:
        """Workers that are there, or could not say that they went."""
        return {row["worker"] for row in self.rows("SELECT worker FROM turnline.workers")}

    def log(self, session: str) -> list[Row]:
        """The events of the session's log."""
        entries: Any = self.redis.xrange(f"tl:{{{session}}}:log")
        return [json.loads(fields["d"]) for _, fields in entries]

    def events(self, session: str, turn: str) -> list[Row]:
        """The events of one turn."""
        return [event for event in self.log(session) if event["turn"] == turn]

    def types(self, session: str, turn: str) -> list[str]:
        """The types of the events of one turn."""
        return [event["type"] for event in self.events(session, turn)]

    def inbox(self, session: str) -> int:
        """How many entries wait in the session's inbox."""
        waiting: Any = self.redis.xlen(f"tl:{{{session}}}:inbox")
        return int(waiting)

    def dead_letters(self, session: str) -> list[Row]:
        """Messages of the session that could not be accepted."""
        entries: Any = self.redis.xrange("tl:dead")
        return [fields for _, fields in entries if fields["session"] == session]

    def keys_for_ever(self) -> list[str]:
        """Keys that would never go away and should: no TTL, and no reason to have none."""
        found = []
        for key in self.redis.scan_iter("tl:*", count=1000):
            if self.redis.ttl(key) != -1 or key == "tl:dead" or key.startswith("tl:rung:"):
                continue
            if key.endswith(":inbox") and self.redis.xlen(key):
                continue
            found.append(key)
        return found

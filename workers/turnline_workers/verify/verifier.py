"""Walks over sessions and applies the rules to rows and logs."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Final

import redis
from redis.exceptions import RedisError, ResponseError
from sqlalchemy import Connection, Engine, func, select

from turnline_schemas.errors import RedisUnavailableError
from turnline_schemas.event import parse_event
from turnline_schemas.message import Message
from turnline_schemas.names import RUNG_SHARDS, inbox_key, log_key, meta_key, rung_shard_key
from turnline_workers.store.engine import translated
from turnline_workers.store.reading import transcript
from turnline_workers.store.schema import messages, sessions, turns
from turnline_workers.store.statements.parts import NOW
from turnline_workers.verify.log import check_log
from turnline_workers.verify.rows import PATIENCE, RULES, Violation, broken_rows

INBOX: Final = "P9 no message is stuck in an inbox"
READABLE: Final = "P6 every event can be read"

SETTLING: Final = timedelta(seconds=5)
"""A turn that ended less than this ago may still be on its way into the log."""

PAGE: Final = 1000


class Verifier:
    """Reads everything and changes nothing; may run beside live workers."""

    def __init__(self, engine: Engine, client: "redis.Redis", redis_url: str) -> None:
        self._engine = engine
        self._redis = client
        self._redis_url = redis_url

    def count(self, session: str | None) -> int:
        """Return how many steps ``check`` takes."""
        with translated(str(self._engine.url)), self._engine.connect() as connection:
            query = select(func.count()).select_from(sessions)
            if session is not None:
                query = query.where(sessions.c.session == session)
            return len(RULES) + int(connection.scalar(query) or 0) + (session is None)

    def totals(self, session: str | None) -> dict[str, int]:
        """Return how many sessions, turns and messages there are, and turns by status."""
        with translated(str(self._engine.url)), self._engine.connect() as connection:
            counted: dict[str, int] = {}
            for table in (sessions, turns, messages):
                query = select(func.count()).select_from(table)
                if session is not None:
                    query = query.where(table.c.session == session)
                counted[table.name] = int(connection.scalar(query) or 0)
            by_status = select(turns.c.status, func.count()).group_by(turns.c.status)
            if session is not None:
                by_status = by_status.where(turns.c.session == session)
            return counted | {row[0]: row[1] for row in connection.execute(by_status)}

    def check(self, session: str | None, step: Callable[[], None]) -> Iterator[Violation]:
        """Yield every violation found, in one session or in all.

        Args:
            step: called after each step, for a progress bar.

        Raises:
            PostgresUnavailableError, RedisUnavailableError: run it again later.
        """
        with translated(str(self._engine.url)):
            for rule in RULES:
                with self._engine.connect() as connection:
                    yield from broken_rows(connection, rule, session)
                step()
            for name in self._sessions(session):
                yield from self._asked_of_redis(name, self._check_session)
                step()
            if session is None:
                yield from self._asked_of_redis("", self._check_strangers)
                step()

    def _asked_of_redis(
        self, session: str, check: Callable[[str], Iterator[Violation]]
    ) -> Iterator[Violation]:
        try:
            yield from check(session)
        except ResponseError as error:
            yield Violation(READABLE, session, {"problem": str(error)})
        except RedisError as error:
            raise RedisUnavailableError(self._redis_url, error) from error

    def _sessions(self, session: str | None) -> Iterator[str]:
        if session is not None:
            yield session
            return
        last = ""
        while True:
            query = (
                select(sessions.c.session)
                .where(sessions.c.session > last)
                .order_by(sessions.c.session)
                .limit(PAGE)
            )
            with self._engine.connect() as connection:
                page = list(connection.scalars(query))
            if not page:
                return
            yield from page
            last = page[-1]

    def _check_strangers(self, _: str) -> Iterator[Violation]:
        """Look at the inboxes of sessions that were enqueued to and that Postgres has not met."""
        for shard in range(RUNG_SHARDS):
            members: Any = self._redis.zrange(rung_shard_key(shard), 0, -1)
            registered = {member.decode("utf-8", "replace") for member in members}
            with self._engine.connect() as connection:
                query = select(sessions.c.session).where(sessions.c.session.in_(registered))
                known = set(connection.scalars(query))
            for session in sorted(registered - known):
                yield from self._check_inbox(session)

    def _check_session(self, session: str) -> Iterator[Violation]:
        yield from self._check_inbox(session)
        # What rows call published now is in the log that is read after them; what the log calls
        # ended is settled in the rows that are read after it.
        with self._engine.connect() as connection:
            published = _outcomes(connection, session, published=True)
        pipe = self._redis.pipeline(transaction=True)
        pipe.hmget(meta_key(session), ["epoch", "top"])
        pipe.xrange(log_key(session))
        (epoch, top), rows = pipe.execute()
        if epoch is None:
            return
        with self._engine.connect() as connection:
            outcomes = _outcomes(connection, session)
            said: dict[str, list[Message]] = defaultdict(list)
            for line in transcript(connection, session):
                said[line.turn].append(line.message)
        try:
            events = [parse_event(fields[b"d"], epoch=epoch.decode()) for _, fields in rows]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            yield Violation(READABLE, session, {"problem": str(error).splitlines()[0]})
            return
        yield from check_log(
            session, events, top=int(top), outcomes=outcomes, published=published, said=said
        )

    def _check_inbox(self, session: str) -> Iterator[Violation]:
        if self._redis.type(inbox_key(session)) != b"stream":
            return
        oldest: Any = self._redis.xrange(inbox_key(session), count=1)
        if not oldest:
            return
        seconds, microseconds = self._redis.time()
        age = seconds + microseconds / 1e6 - int(oldest[0][0].split(b"-")[0]) / 1000
        if age > PATIENCE.total_seconds():
            detail = {"position": oldest[0][0].decode(), "age_s": round(age, 1)}
            yield Violation(INBOX, session, detail)


def _outcomes(connection: Connection, session: str, *, published: bool = False) -> dict[str, str]:
    """Return turn -> outcome of what has ended, or only of what must be in the log by now."""
    query = select(turns.c.turn, turns.c.status).where(
        turns.c.session == session, turns.c.settled_at.is_not(None)
    )
    if published:
        query = query.where(turns.c.settled_at < NOW - SETTLING, turns.c.outbox.is_(None))
    return {row.turn: row.status for row in connection.execute(query)}

"""A session as of a cursor: the transcript from Postgres, the place in the log from Redis."""

from typing import Any

import redis
from redis.exceptions import RedisError
from sqlalchemy import Engine, select

from turnline_schemas.cursor import Cursor
from turnline_schemas.errors import RedisUnavailableError
from turnline_schemas.event_data import Snapshot
from turnline_schemas.names import meta_key
from turnline_workers.store.engine import translated
from turnline_workers.store.reading import transcript
from turnline_workers.store.schema import sessions


class PostgresSnapshots:
    """A snapshot source for ``turnline_consumer.follow``.  Safe to share between threads."""

    def __init__(self, engine: Engine, client: "redis.Redis") -> None:
        self._engine = engine
        self._redis = client

    def __call__(self, session: str, /) -> Snapshot:
        """Return the session as of the end of its last turn.

        Redis is asked first: what its log says was settled then, Postgres has.  Turns that
        were committed since are left out, because their events still follow.

        Raises:
            PostgresUnavailableError, RedisUnavailableError: ask again later.
        """
        try:
            known: Any = self._redis.hmget(meta_key(session), ["epoch", "settled", "messages"])
        except RedisError as error:
            kwargs = self._redis.connection_pool.connection_kwargs
            where = f"redis://{kwargs.get('host')}:{kwargs.get('port')}/{kwargs.get('db', 0)}"
            raise RedisUnavailableError(where, error) from error
        epoch, settled, count = known
        with translated(str(self._engine.url)), self._engine.connect() as connection:
            if epoch is None:
                row = connection.execute(
                    select(sessions.c.last_seq, sessions.c.messages).where(
                        sessions.c.session == session
                    )
                ).one_or_none()
                last_seq, messages = (0, 0) if row is None else row
                cursor = Cursor("", last_seq)
            else:
                cursor, messages = Cursor(epoch.decode(), int(settled)), int(count)
            entries = transcript(connection, session, upto=messages)
        return Snapshot(session=session, cursor=str(cursor), transcript=tuple(entries))

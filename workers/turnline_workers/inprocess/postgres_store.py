"""States in Postgres: one row per session, in a table of their own.

They are kept apart from the sessions that workers play, whose rows belong to claims: a session is
played in process or by workers, not both.
"""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Executable,
    Row,
    Text,
    bindparam,
    cast,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSON, insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from turnline_schemas.errors import ConfigurationError, InvalidInputError
from turnline_workers.errors import StaleStateError
from turnline_workers.inprocess.stores import from_json, to_json
from turnline_workers.interaction.state import InteractionState
from turnline_workers.store import migrations
from turnline_workers.store.engine import CONNECT_ARGS, first_line, parse_url, transaction
from turnline_workers.store.schema import states

NO_TABLE: Final = frozenset({"42P01", "3F000"})
"""Undefined table, and no such schema."""

TOO_MUCH: Final = frozenset({"54000", "54001"})
"""JSON that is too long, or nested too deeply.

Source: https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

_SESSION = bindparam("for_session", type_=Text())
_STATE = cast(bindparam("new_state", type_=Text()), JSON())
_REVISION = bindparam("old_revision", type_=BigInteger())

# As text, so that both stores read and write the same JSON.
LOAD = select(states.c.revision, cast(states.c.state, Text()).label("state")).where(
    states.c.session == _SESSION
)
FIRST = (
    insert(states)
    .values(session=_SESSION, revision=1, state=_STATE)
    .on_conflict_do_nothing()
    .returning(states.c.revision)
)
NEXT = (
    update(states)
    .where(states.c.session == _SESSION, states.c.revision == _REVISION)
    .values(revision=states.c.revision + 1, state=_STATE, updated_at=func.clock_timestamp())
    .returning(states.c.revision)
)
FORGET = delete(states).where(states.c.session == _SESSION).returning(states.c.revision)


class PostgresStore:
    """Keeps states in Postgres.  One statement per call; holds no connection between calls."""

    def __init__(self, url_or_engine: str | AsyncEngine) -> None:
        """Connect to nothing yet.

        Args:
            url_or_engine: with a URL every call opens a connection, so that any event loop may
                call; an engine, which serves one event loop, has the pool that you gave it and
                stays yours to dispose of.

        Raises:
            ConfigurationError: the URL cannot be read.
        """
        self._engine = (
            create_async_engine(
                parse_url(url_or_engine),
                poolclass=NullPool,
                connect_args=CONNECT_ARGS,
                hide_parameters=True,
            )
            if isinstance(url_or_engine, str)
            else url_or_engine
        )

    async def load(self, session: str, context: Mapping[str, Any]) -> InteractionState | None:  # noqa: ARG002
        """Return what was saved last; None if nothing was.

        Raises:
            PostgresUnavailableError: try later.
            ConfigurationError: the table is not there; the text says what to do, such as to run
                ``turnline migrate`` (``SchemaVersionError``).
        """
        row = await self._one(LOAD, for_session=session)
        return None if row is None else from_json(row.state, revision=row.revision)

    async def save(
        self,
        session: str,
        state: InteractionState,
        context: Mapping[str, Any],  # noqa: ARG002
    ) -> None:
        """Keep ``state`` in place of the revision that it was made from.

        Raises:
            StaleStateError: another revision is stored.
            InvalidInputError: the state holds what JSON, or Postgres, cannot.
            PostgresUnavailableError: it is unknown whether it was saved; load to see.
            ConfigurationError: the table is not there; the text says what to do, such as to run
                ``turnline migrate`` (``SchemaVersionError``).
        """
        values: dict[str, Any] = {"for_session": session, "new_state": to_json(state)}
        if state.revision == 0:
            saved = await self._one(FIRST, **values)
        else:
            saved = await self._one(NEXT, **values, old_revision=state.revision)
        if saved is None:
            raise StaleStateError(session, state.revision)

    async def delete(self, session: str, context: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Forget the session; nothing happens if it is not known.

        Raises:
            PostgresUnavailableError: try later.
            ConfigurationError: the table is not there; the text says what to do, such as to run
                ``turnline migrate`` (``SchemaVersionError``).
        """
        await self._one(FORGET, for_session=session)

    async def _one(self, statement: Executable, **values: Any) -> Row[Any] | None:
        try:
            async with transaction(self._engine) as connection:
                return (await connection.execute(statement, values)).one_or_none()
        except UnicodeEncodeError as error:
            raise InvalidInputError(f"Postgres cannot store the state: {error}") from error
        except DBAPIError as error:
            state = getattr(error.orig, "sqlstate", None)
            if state in NO_TABLE:
                async with transaction(self._engine) as connection:
                    await connection.run_sync(migrations.check)
                raise ConfigurationError(
                    f"the table {states.fullname} is missing, although the database is at schema"
                    f" version {migrations.wanted_version()!r}: restore it"
                ) from error
            if state in TOO_MUCH:
                raise InvalidInputError(
                    f"Postgres cannot store the state: {first_line(error)}"
                ) from error
            raise

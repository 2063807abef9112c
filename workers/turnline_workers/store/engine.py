"""Engines, and the one place that says which database errors are to be expected."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from turnline_schemas.errors import ConfigurationError, PostgresUnavailableError, hide_password

RETRYABLE_STATES = frozenset({"40001", "40P01", "55P03", "57014", "25006"})
"""Serialization failure, deadlock, lock not available, query cancelled, and read-only, which a
server is for a moment during a failover: try the same again.

Source: https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

CONNECT_ARGS = {
    "connect_timeout": 5,
    "application_name": "turnline",
    # A frozen client must not hold a session's row for longer than this.
    "options": "-c idle_in_transaction_session_timeout=5s -c lock_timeout=3s -c timezone=UTC",
    # A half-open connection is noticed in about 15 s instead of hours.
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 2,
}


def parse_url(database_url: str) -> URL:
    """Read a libpq URL as one for psycopg 3.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        url = make_url(database_url)
    except ArgumentError as error:
        raise ConfigurationError(
            f"TURNLINE_DATABASE_URL {hide_password(database_url)!r} is no URL;"
            " expected postgresql://user:password@host:5432/database"
        ) from error
    if url.get_backend_name() not in {"postgresql", "postgres"}:
        raise ConfigurationError(
            f"TURNLINE_DATABASE_URL must begin with postgresql://, not {url.drivername!r}"
        )
    return url.set(drivername="postgresql+psycopg")


def open_async_engine(database_url: str, *, connections: int) -> AsyncEngine:
    """Return an engine that never holds more than ``connections`` connections."""
    return create_async_engine(
        parse_url(database_url),
        pool_size=connections,
        max_overflow=0,
        # Whoever waits for a connection waits in line; giving up would only lose the place.
        pool_timeout=600,
        pool_pre_ping=False,
        connect_args=CONNECT_ARGS,
        hide_parameters=True,
    )


def open_engine(database_url: str, *, connections: int = 1) -> Engine:
    """Return an engine for threads and command-line tools."""
    return create_engine(
        parse_url(database_url),
        pool_size=connections,
        max_overflow=0,
        connect_args=CONNECT_ARGS,
        # Errors must not carry what people said into the logs.
        hide_parameters=True,
    )


@contextmanager
def one_connection(database_url: str) -> Iterator[Connection]:
    """Open one connection for the block.

    Raises:
        PostgresUnavailableError: no connection, or it broke inside the block.
    """
    engine = create_engine(
        parse_url(database_url), poolclass=NullPool, connect_args=CONNECT_ARGS, hide_parameters=True
    )
    with translated(database_url), engine.connect() as connection:
        yield connection


@contextmanager
def translated(database_url: str) -> Iterator[None]:
    """Turn database errors that may pass into ``PostgresUnavailableError``; let others through."""
    try:
        yield
    except (DBAPIError, PoolTimeoutError) as error:
        if is_transient(error):
            raise PostgresUnavailableError(database_url, first_line(error)) from error
        raise


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Run the block in one transaction.  The only way this package writes on the loop.

    Raises:
        PostgresUnavailableError: a transient failure.  The outcome of a commit is then
            unknown: the caller must be able to repeat.
    """
    with translated(engine.url.render_as_string(hide_password=True)):
        async with engine.begin() as connection:
            yield connection


def is_transient(error: Exception) -> bool:
    """Say whether the same statement may succeed later: lost connections, deadlocks, restarts."""
    if isinstance(error, PoolTimeoutError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        return isinstance(error, OperationalError) or error.connection_invalidated
    return state in RETRYABLE_STATES or state[:2] in {"08", "53", "57"} or state == "25P03"


def first_line(error: Exception) -> str:
    """Return the first line of the driver's message, which names the cause."""
    cause = getattr(error, "orig", None) or error
    lines = str(cause).strip().splitlines()
    return lines[0] if lines else type(cause).__name__

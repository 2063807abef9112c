"""Bring a database to the schema this code needs, and tell which one it has."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from turnline_workers.errors import SchemaVersionError
from turnline_workers.store.engine import one_connection
from turnline_workers.store.schema import SCHEMA

_LOCK = 0x7475726E
"""Advisory lock key: two migrations at once would both create the tables."""


def upgrade(database_url: str) -> str:
    """Bring the database to the newest schema version and return it.  Safe to repeat.

    Raises:
        PostgresUnavailableError: no connection.
    """
    config = _config()
    with one_connection(database_url) as connection, connection.begin():
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return wanted_version()


def check(connection: Connection) -> None:
    """Return if the database has the schema this code needs.

    Raises:
        SchemaVersionError: it has another one, or none; its text says what to run.
    """
    found = MigrationContext.configure(
        connection, opts={"version_table_schema": SCHEMA}
    ).get_current_revision()
    if found != (wanted := wanted_version()):
        raise SchemaVersionError(found, wanted)


def wanted_version() -> str:
    """Return the newest schema version that this code knows."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config

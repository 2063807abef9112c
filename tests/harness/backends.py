"""The servers of a test run: Postgres, Redis for sessions, and another Redis as the broker."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from turnline_workers.embedded.server import Server
from turnline_workers.embedded.servers import EmbeddedServers
from turnline_workers.store.migrations import upgrade

TEMPLATE = "turnline_tests_template"


@dataclass(frozen=True)
class Backends:
    """Where the servers are, and the processes of those that are ours."""

    database_url: str
    """A database from which others are made."""
    redis_url: str
    broker_url: str
    postgres: Server | None
    """None if somebody else runs it, so that no test may stop it."""
    redis: Server | None
    broker: Server | None
    postgres_log: Path | None

    def create_database(self, name: str) -> str:
        """Make a migrated database and return its URL."""
        with self.admin() as admin:
            admin.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                    sql.Identifier(name), sql.Identifier(TEMPLATE)
                )
            )
        return with_path(self.database_url, name)

    def create_empty_database(self, name: str, *, encoding: str = "UTF8") -> str:
        """Make a database without Turnline's schema and return its URL."""
        create = "CREATE DATABASE {} ENCODING {} LOCALE 'C' TEMPLATE template0"
        with self.admin() as admin:
            admin.execute(sql.SQL(create).format(sql.Identifier(name), sql.Literal(encoding)))
        return with_path(self.database_url, name)

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is still connected."""
        with self.admin() as admin:
            admin.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )

    def revive(self) -> None:
        """Start what a test stopped."""
        for server in (self.postgres, self.redis, self.broker):
            if server is not None:
                server.start()

    @contextmanager
    def admin(self) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
        """Open a connection that may create databases."""
        with closing(psycopg.connect(self.database_url, autocommit=True)) as connection:
            yield connection


@contextmanager
def run_backends(directory: Path) -> Iterator[Backends]:
    """Start the servers that the environment does not name, for as long as the block lasts."""
    given = {
        name: os.environ.get(f"TURNLINE_TEST_{name}_URL")
        for name in ("DATABASE", "REDIS", "BROKER")
    }
    with EmbeddedServers(
        directory, postgres=not given["DATABASE"], redis=not given["REDIS"]
    ) as servers:
        broker = None if given["BROKER"] else servers.extra_redis("broker")
        backends = Backends(
            database_url=given["DATABASE"] or servers.database_url,
            redis_url=given["REDIS"] or servers.redis_url,
            broker_url=given["BROKER"] or (broker.url if broker else ""),
            postgres=None if given["DATABASE"] else servers.postgres,
            redis=None if given["REDIS"] else servers.redis,
            broker=broker,
            postgres_log=None if given["DATABASE"] else servers.home.log("postgres"),
        )
        backends.drop_database(TEMPLATE)
        upgrade(backends.create_empty_database(TEMPLATE))
        yield backends


def with_path(url: str, path: str) -> str:
    """Return ``url`` with another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{path}"))

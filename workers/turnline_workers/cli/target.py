"""Which servers a command talks to: those named by settings, else the stack that runs here."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import redis
import typer
from rich.console import Console
from sqlalchemy import Engine

from turnline_producer.producer import Producer
from turnline_schemas.errors import TurnlineError
from turnline_workers.bus.connect import open_sync
from turnline_workers.embedded.description import read_description
from turnline_workers.settings import Settings, load_settings
from turnline_workers.snapshots import PostgresSnapshots
from turnline_workers.store.engine import open_engine

stderr = Console(stderr=True, highlight=False)


@dataclass(frozen=True, slots=True)
class Target:
    """The servers a command talks to."""

    database_url: str
    redis_url: str
    broker_url: str

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """Open Postgres for the block."""
        engine = open_engine(self.database_url)
        try:
            yield engine
        finally:
            engine.dispose()

    @contextmanager
    def redis(self) -> Iterator["redis.Redis"]:
        """Open Redis for the block."""
        client = open_sync(self.redis_url)
        try:
            yield client
        finally:
            client.close()

    @contextmanager
    def snapshots(self) -> Iterator[PostgresSnapshots]:
        """Open a snapshot source for the block."""
        with self.engine() as engine, self.redis() as client:
            yield PostgresSnapshots(engine, client)

    def producer(self) -> Producer:
        """Return a producer; close it."""
        return Producer(self.redis_url, broker_url=self.broker_url)


def find_target() -> Target:
    """Return the servers named by ``TURNLINE_*``, else those of ``turnline up`` in this directory.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    settings = load_settings()
    given = {"database_url", "redis_url"} & settings.model_fields_set
    running = read_description()
    # One URL of the stack, exported for a program that needs it, names the stack too.
    if running is not None and all(
        getattr(settings, name) == getattr(running, name) for name in given
    ):
        return Target(running.database_url, running.redis_url, running.broker_url)
    return Target(settings.database_url, settings.redis_url, settings.broker)


def settings_for(target: Target) -> Settings:
    """Return the settings of a worker that serves ``target``."""
    return load_settings().model_copy(
        update={
            "database_url": target.database_url,
            "redis_url": target.redis_url,
            "broker_url": target.broker_url,
        }
    )


@contextmanager
def explained() -> Iterator[None]:
    """Turn what a user can mend into one line on stderr and exit code 1."""
    try:
        yield
    except TurnlineError as error:
        stderr.print(f"[bold red]error:[/] {_escaped(str(error))}", soft_wrap=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as interrupt:
        raise typer.Exit(130) from interrupt


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")

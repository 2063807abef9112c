"""``turnline migrate`` and ``turnline worker``."""

import os
import socket
import sys
from typing import Annotated

import typer

from turnline_schemas.errors import hide_password
from turnline_workers.cli.target import explained, find_target
from turnline_workers.settings import load_settings
from turnline_workers.store import migrations
from turnline_workers.store.engine import one_connection
from turnline_workers.store.liveness import alive_on


def migrate() -> None:
    """Bring the database to the schema that this version needs.  Safe to repeat.

    Example:

      TURNLINE_DATABASE_URL=postgresql://turnline@db/turnline turnline migrate
    """
    with explained():
        target = find_target()
        version = migrations.upgrade(target.database_url)
    typer.echo(f"{hide_password(target.database_url)} is at schema version {version}")


def worker(
    name: Annotated[
        str | None,
        typer.Option("--name", "-n", help="Node name, unique in the cluster; %h is the host."),
    ] = None,
    pool: Annotated[
        str, typer.Option("--pool", "-P", help="'asyncio' (ours) or 'threads'.")
    ] = "asyncio",
    slots: Annotated[
        int | None, typer.Option(min=1, help="Turns played at the same time (TURNLINE_SLOTS).")
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Start nothing: exit 0 if a worker of this host is alive, else 1."
        ),
    ] = False,
) -> None:
    """Run a worker in the foreground.  SIGTERM lets it finish or hand over its turns.

    The same as 'celery -A turnline_workers.app worker', with a name of its own.

    Examples:

      turnline worker

      turnline worker --slots 200 --name chat-1@%h

      turnline worker --check     (for health checks)
    """
    if check:
        _check_alive()
        return
    if pool not in {"asyncio", "threads"}:
        raise typer.BadParameter(f"{pool!r} is not supported; use asyncio or threads")
    with explained():
        target = find_target()
    environment = os.environ | {
        "TURNLINE_DATABASE_URL": target.database_url,
        "TURNLINE_REDIS_URL": target.redis_url,
        "TURNLINE_BROKER_URL": target.broker_url,
    }
    if slots is not None:
        environment["TURNLINE_SLOTS"] = str(slots)
    command = [sys.executable, "-m", "celery", "-A", "turnline_workers.app", "worker"]
    command += [
        "--hostname",
        name or f"turnline-{os.getpid()}@%h",
        "--without-gossip",
        "--without-mingle",
    ]
    if pool == "threads":
        command += ["--pool", "threads"]
    # The settings are read when Celery imports the application, so it gets a process of its own.
    os.execve(command[0], command, environment)  # noqa: S606 - no shell, our own interpreter


def _check_alive() -> None:
    with explained():
        target = find_target()
        with one_connection(target.database_url) as connection:
            migrations.check(connection)
            alive = alive_on(connection, socket.gethostname(), load_settings().lease_time)
    typer.echo(f"{len(alive)} workers of {socket.gethostname()} are alive: {', '.join(alive)}")
    if not alive:
        raise typer.Exit(1)

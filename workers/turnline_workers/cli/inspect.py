"""``turnline sessions`` and ``turnline verify``."""

import json as jsonlib
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table

from turnline_schemas.errors import ConfigurationError
from turnline_schemas.names import inbox_key
from turnline_workers.cli.target import explained, find_target, stderr
from turnline_workers.store import migrations
from turnline_workers.store.engine import one_connection
from turnline_workers.store.reading import find_session, list_sessions
from turnline_workers.verify.verifier import Verifier

stdout = Console(highlight=False)


def sessions(
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many.")] = 50,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """List the sessions that changed last.

    Example:

      turnline sessions --limit 10
    """
    with explained(), one_connection(find_target().database_url) as connection:
        migrations.check(connection)
        found = list_sessions(connection, limit=limit)
    if json:
        for each in found:
            typer.echo(jsonlib.dumps(asdict(each), default=str, ensure_ascii=False))
        return
    table = Table("session", "status", "user", box=None, pad_edge=False)
    for name in ("turns", "waiting", "messages"):
        table.add_column(name, justify="right")
    table.add_column("changed")
    for each in found:
        changed = f"{each.updated_at:%Y-%m-%d %H:%M:%S}"
        counts = (str(each.turns), str(each.waiting), str(each.messages))
        table.add_row(each.session, each.status, each.user or "-", *counts, changed)
    stdout.print(table if found else "no sessions yet; try: turnline send ses_42 'Hello!'")


def verify(
    session: Annotated[str | None, typer.Argument(help="Session to check.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Check all sessions.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Violations as JSON lines.")] = False,
) -> None:
    """Check the promises on stored data: rows in Postgres, and event logs in Redis.

    Order of turns, one outcome each, a dense transcript, dense events with one terminal event
    per turn, a log that replays to the transcript, and nothing stuck.  May run beside live
    workers.  Exits with 1 if a promise is broken, and shows the rule and its rows.

    Examples:

      turnline verify ses_42

      turnline verify --all
    """
    if (session is None) != everything:
        raise typer.BadParameter("give a SESSION, or --all")
    with explained():
        target = find_target()
        with target.engine() as engine, target.redis() as client, _progress() as progress:
            with one_connection(target.database_url) as connection:
                migrations.check(connection)
                unknown = session is not None and find_session(connection, session) is None
                if unknown and not client.exists(inbox_key(session or "")):
                    raise ConfigurationError(f"no session {session!r}")
            verifier = Verifier(engine, client, target.redis_url)
            total = verifier.count(session)
            bar = progress.add_task("checking", total=total)
            broken = 0
            for violation in verifier.check(session, lambda: progress.advance(bar)):
                broken += 1
                _tell(asdict(violation), json=json)
            counts = verifier.totals(session)
    if broken:
        stderr.print(f"[bold red]{broken} violations[/]")
        raise typer.Exit(1)
    if json:
        typer.echo(jsonlib.dumps({"violations": 0, **counts}))
    else:
        held = ", ".join(f"{number} {name}" for name, number in counts.items())
        typer.echo(f"every promise holds: {held}")


def _tell(violation: dict[str, Any], *, json: bool) -> None:
    if json:
        typer.echo(jsonlib.dumps(violation, default=str, ensure_ascii=False))
        return
    rows = ", ".join(f"{name}={value}" for name, value in violation["detail"].items())
    stdout.print(f"[red]{violation['rule']}[/] is broken in {violation['session']}: ", end="")
    stdout.print(rows, markup=False, soft_wrap=True)


def _progress() -> Progress:
    return Progress(
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=stderr,
        transient=True,
        disable=not stderr.is_terminal,
    )

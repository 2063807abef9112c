"""``turnline follow``, and the way events look on a terminal."""

from collections.abc import Callable
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.text import Text

from turnline_consumer import Follower, follow
from turnline_schemas.event import Event
from turnline_schemas.event_data import (
    AttemptSuperseded,
    SessionReset,
    TextDelta,
    TurnCancelled,
    TurnDead,
    TurnFailed,
    TurnStarted,
)
from turnline_schemas.receipt import Receipt
from turnline_workers.cli.target import Target, explained, find_target, stderr
from turnline_workers.store.engine import one_connection
from turnline_workers.store.reading import outcome_of, transcript

_COLORS: Final = ("cyan", "green", "magenta", "yellow", "blue", "bright_red")
_TEXT_SHOWN: Final = 100

stdout = Console(highlight=False)


def follow_session(
    session: Annotated[str, typer.Argument(help="Session to follow; it need not exist yet.")],
    after: Annotated[
        str | None,
        typer.Option(help="Cursor <epoch>:<seq> of the last event you have, or 'latest'."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Events as JSON lines, with cursor.")
    ] = False,
) -> None:
    """Show the events of a session: what is kept, then what comes, until Ctrl-C.

    Every event after the cursor is shown once and in order, whatever breaks meanwhile.
    If that cannot be, session.reset says why and brings the whole transcript.

    Examples:

      turnline follow ses_42

      turnline follow ses_42 --after kqWmZtRb:17 --json
    """
    with explained():
        target = find_target()
        with (
            target.snapshots() as source,
            follow(session, after=after, redis_url=target.redis_url, snapshot=source) as events,
        ):
            for event in events:
                show(event, json=json)


def show(event: Event, *, json: bool) -> None:
    """Print one event as a line."""
    if json:
        typer.echo(event.to_json()[:-1] + f',"cursor":"{event.cursor}"}}')
        return
    color = _COLORS[sum(map(ord, event.session)) % len(_COLORS)]
    line = Text.assemble(
        (f"{event.session:<12}", color),
        (f"{event.seq:>6} ", "bold"),
        (f"{event.type:<20} ", "dim" if event.type.startswith("text") else ""),
        _summary(event),
    )
    stdout.print(line, soft_wrap=True)


def _summary(event: Event) -> str:
    match event.data:
        case TextDelta(delta=delta):
            return repr(delta[:_TEXT_SHOWN])
        case TurnStarted(input=said):
            return f"{_short(event.turn)} attempt {event.attempt}: {said.text[:_TEXT_SHOWN]!r}"
        case AttemptSuperseded(attempt=attempt, reason=reason):
            return f"{_short(event.turn)} attempt {attempt} died ({reason}); erase what it showed"
        case TurnFailed(code=code, message=message) | TurnDead(code=code, message=message):
            return f"{_short(event.turn)} {code}: {message}"
        case TurnCancelled(reason=reason):
            return f"{_short(event.turn)} {reason}"
        case SessionReset(reason=reason, requested=requested, cursor=cursor, snapshot=snapshot):
            held = (
                "" if snapshot is None else f", {len(snapshot.transcript)} messages in the snapshot"
            )
            return f"{requested} cannot be continued ({reason}); going on from {cursor}{held}"
        case _:
            return _short(event.turn)


def _short(turn: str | None) -> str:
    return "" if turn is None else turn if len(turn) <= 12 else f"..{turn[-10:]}"


def follow_turn(
    target: Target, session: str, enqueue: Callable[[], Receipt], *, json: bool
) -> None:
    """Enqueue a turn and show what comes of it until it ends."""
    with follow(session, after="latest", redis_url=target.redis_url) as events:
        receipt = enqueue()
        if json:
            typer.echo(receipt.model_dump_json())
        if not receipt.rung:
            stderr.print("[yellow]no bell was sent; the sweep finds the turn[/]")
        if receipt.status == "duplicate":
            _follow_known(target, receipt, json=json)
            return
        _until_ended(events, receipt.turn, json=json)


def _follow_known(target: Target, receipt: Receipt, *, json: bool) -> None:
    """Show a turn that was enqueued before: from the log, or from the transcript if it is gone."""
    with follow(receipt.session, redis_url=target.redis_url) as events:
        with one_connection(target.database_url) as connection:
            outcome = outcome_of(connection, receipt.session, receipt.turn)
            said = transcript(connection, receipt.session) if outcome else []
        if outcome is None:
            _until_ended(events, receipt.turn, json=json)
            return
    for entry in said:
        if entry.turn == receipt.turn and entry.message.role == "assistant":
            typer.echo(entry.model_dump_json() if json else entry.message.text)
    if outcome != "completed" and not json:
        stderr.print(f"the turn is {outcome}; see: turnline show {receipt.session}")


def _until_ended(events: Follower, turn: str, *, json: bool) -> None:
    shown = False
    for event in events:
        if event.turn != turn:
            continue
        if json:
            show(event, json=True)
        else:
            shown = _show_text(event, shown=shown)
        if event.terminal:
            return


def _show_text(event: Event, *, shown: bool) -> bool:
    match event.data:
        case TextDelta(delta=delta):
            stdout.print(delta, end="", markup=False, soft_wrap=True)
            return True
        case AttemptSuperseded():
            if shown:
                stdout.print("\n[yellow]the worker died; another one starts the answer again[/]")
            return False
        case TurnFailed(message=message) | TurnDead(message=message):
            stderr.print("\n[red]the turn failed:[/] ", end="")
            stderr.print(message, markup=False)
        case TurnCancelled(reason=reason):
            stderr.print(f"\n[yellow]cancelled:[/] {reason}")
        case _ if event.type == "turn.completed":
            stdout.print()
        case _:
            pass
    return shown

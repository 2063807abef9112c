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
    StepReset,
    TextCompleted,
    TextDelta,
    ToolReady,
    ToolResult,
    TurnCancelled,
    TurnDead,
    TurnFailed,
    TurnPaused,
)
from turnline_schemas.receipt import Receipt
from turnline_workers.cli.summaries import answer_with, called, summary
from turnline_workers.cli.target import Target, explained, find_target, stderr
from turnline_workers.store.engine import one_connection
from turnline_workers.store.reading import outcome_of, transcript

_COLORS: Final = ("cyan", "green", "magenta", "yellow", "blue", "bright_red")

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
        summary(event),
    )
    stdout.print(line, soft_wrap=True)


def follow_turn(
    target: Target, session: str, enqueue: Callable[[], Receipt], *, json: bool
) -> None:
    """Enqueue a turn and show what comes of it until it ends, or waits for an answer."""
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


def follow_answer(
    target: Target, session: str, answer: Callable[[], Receipt], *, json: bool
) -> None:
    """Answer what a turn is paused for and show what comes of it, as ``follow_turn`` does."""
    with follow(session, after="latest", redis_url=target.redis_url) as events:
        receipt = answer()
        if json:
            typer.echo(receipt.model_dump_json())
        _until_ended(events, receipt.turn, json=json)


def _until_ended(events: Follower, turn: str, *, json: bool) -> None:
    shown = False
    for event in events:
        if event.turn != turn:
            continue
        if json:
            show(event, json=True)
        else:
            shown = _show_text(event, shown=shown)
        # Somebody has to answer first, here or elsewhere: waiting for that could take days.
        if event.terminal or isinstance(event.data, TurnPaused):
            return


def _show_text(event: Event, *, shown: bool) -> bool:
    """Show what a reader of the conversation wants to see; say whether a line is open."""
    match event.data:
        case TextDelta(delta=delta):
            style = "dim italic" if event.type == "reasoning.delta" else None
            stdout.print(delta, end="", markup=False, soft_wrap=True, style=style)
            return True
        case TextCompleted() if event.type == "reasoning.completed":
            stdout.print()
            return False
        case ToolReady() | ToolResult():
            stdout.print("\n" if shown else "", end="")
            stdout.print(called(event.data), markup=False, soft_wrap=True, style="dim")
            return False
        case AttemptSuperseded() | StepReset():
            if shown:
                stdout.print(f"\n[yellow]{_again(event)}; the answer begins again[/]")
            return False
        case TurnPaused():
            stdout.print("\n" if shown else "", end="")
            stdout.print(answer_with(event), markup=False, soft_wrap=True)
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


def _again(event: Event) -> str:
    return "the model broke off" if isinstance(event.data, StepReset) else "the worker died"

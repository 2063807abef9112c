"""``turnline send`` and ``turnline cancel``."""

import json as jsonlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from turnline_producer.producer import Producer
from turnline_schemas.errors import (
    ConfigurationError,
    InvalidInputError,
    InvalidMessageError,
    TurnlineError,
)
from turnline_schemas.receipt import Receipt
from turnline_workers.cli.show_events import follow_turn
from turnline_workers.cli.target import Target, explained, find_target, stderr

FIELDS = {
    "session",
    "text",
    "message",
    "turn",
    "user",
    "assistant",
    "context",
    "priority",
    "not_before",
}
"""What a line of a file may hold."""


def send(
    session: Annotated[str | None, typer.Argument(help="Session to send to.")] = None,
    text: Annotated[str | None, typer.Argument(help="What the user says.")] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            "-f",
            help='JSON lines, one turn each: {"session", "text", "turn"?, ...}; - for stdin.',
        ),
    ] = None,
    turn: Annotated[
        str | None,
        typer.Option(help="Turn id; sending the same id again plays nothing twice."),
    ] = None,
    assistant: Annotated[
        str | None, typer.Option(help="Who answers; workers serve TURNLINE_ASSISTANTS.")
    ] = None,
    context: Annotated[
        str | None, typer.Option(help="JSON object for the steps; the model does not see it.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Show the answer as it comes.")] = False,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Wait until the turn is committed in Postgres.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Receipts and events as JSON lines.")
    ] = False,
) -> None:
    """Enqueue one turn, or a file of them.

    Examples:

      turnline send ses_42 "Hello!" --follow

      turnline send ses_42 "Hello!" --turn order-17 --confirm --json

      turnline send ses_42 "Book me a room" --assistant concierge --follow

      turnline send --file turns.jsonl
    """
    with explained():
        target = find_target()
        if file is not None:
            if follow or any(each is not None for each in (session, turn, assistant, context)):
                raise typer.BadParameter("--file goes with --confirm and --json only")
            _send_file(target, file, confirm=confirm, json=json)
            return
        if session is None or text is None:
            raise typer.BadParameter("give SESSION and TEXT, or --file")
        options: dict[str, Any] = {"turn": turn, "confirm": confirm}
        if assistant is not None:
            options["assistant"] = assistant
        if context is not None:
            options["context"] = _object(context)
        with target.producer() as producer:
            if follow:
                follow_turn(
                    target, session, lambda: producer.enqueue(session, text, **options), json=json
                )
            else:
                receipt = producer.enqueue(session, text, **options)
                _tell(receipt, _enqueued(receipt), json=json)


def cancel(
    session: Annotated[str, typer.Argument(help="Session of the turn.")],
    turn: Annotated[str, typer.Argument(help="Turn to end.")],
    reason: Annotated[str, typer.Option(help="Shown in turn.cancelled.")] = "cancelled",
    json: Annotated[bool, typer.Option("--json", help="The receipt as JSON.")] = False,
) -> None:
    """End a turn: at once if it waits, as soon as it can if it is being played.

    What was streamed until then is kept.  A turn that has ended stays as it is.

    Example:

      turnline cancel ses_42 order-17
    """
    with explained(), find_target().producer() as producer:
        receipt = producer.cancel(session, turn, reason=reason)
        asked = f"asked that turn {turn} end, if it is open; see: turnline show {session}"
        _tell(receipt, asked, json=json)


def _object(text: str) -> dict[str, Any]:
    try:
        value = jsonlib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"--context is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidInputError("--context is not a JSON object, such as '{\"tenant\": 7}'")
    return value


def _enqueued(receipt: Receipt) -> str:
    known = " (it was enqueued before)" if receipt.status == "duplicate" else ""
    confirmed = ", committed in Postgres" if receipt.confirmed else ""
    return f"turn {receipt.turn} at position {receipt.position}{confirmed}{known}"


def _tell(receipt: Receipt, said: str, *, json: bool) -> None:
    if json:
        typer.echo(receipt.model_dump_json())
        return
    typer.echo(said)
    if not receipt.rung:
        stderr.print(
            f"[yellow]no bell was sent[/] ({receipt.ring_error}); the sweep finds the turn",
            soft_wrap=True,
        )


@dataclass(slots=True)
class _Tally:
    sent: int = 0
    known: int = 0
    wrong: int = 0
    not_rung: int = 0


def _send_file(target: Target, file: Path, *, confirm: bool, json: bool) -> None:
    tally = _Tally()
    with target.producer() as producer, _opened(file) as lines:
        numbered = list(enumerate(lines, start=1))
        with _progress() as progress:
            bar = progress.add_task("enqueueing", total=len(numbered))
            for number, line in numbered:
                if line.strip():
                    _send_line(producer, number, line, tally, confirm=confirm, json=json)
                progress.advance(bar)
    if not json:
        typer.echo(
            f"{tally.sent} enqueued, {tally.known} known before, {tally.wrong} wrong"
            + (f", {tally.not_rung} without a bell (the sweep rings)" if tally.not_rung else "")
        )
    if tally.wrong:
        raise typer.Exit(1)


def _send_line(
    producer: Producer, number: int, line: str, tally: _Tally, *, confirm: bool, json: bool
) -> None:
    try:
        receipt = producer.enqueue(**_parsed(line), confirm=confirm)
    except TurnlineError as error:
        tally.wrong += 1
        if json:
            told = {"line": number, "error": error.code, "message": str(error)}
            typer.echo(jsonlib.dumps(told, ensure_ascii=False))
        else:
            stderr.print(f"[red]line {number}:[/] ", end="")
            stderr.print(str(error), markup=False, soft_wrap=True)
        return
    if receipt.status == "duplicate":
        tally.known += 1
    else:
        tally.sent += 1
    tally.not_rung += not receipt.rung
    if json:
        typer.echo(receipt.model_dump_json())


def _parsed(line: str) -> dict[str, Any]:
    """Return the arguments of ``enqueue`` that a line holds.

    Raises:
        InvalidMessageError: it is not what a line should be.
    """
    try:
        payload = jsonlib.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidMessageError(f"not JSON: {error}", code="not_json") from error
    if not isinstance(payload, dict):
        raise InvalidMessageError("not a JSON object", code="not_an_object")
    if unknown := payload.keys() - FIELDS:
        names = ", ".join(map(repr, sorted(unknown)))
        raise InvalidMessageError(f"unknown fields {names}; known: {', '.join(sorted(FIELDS))}")
    if ("text" in payload) == ("message" in payload):
        raise InvalidMessageError("give either 'text' or 'message'")
    if "session" not in payload:
        raise InvalidMessageError("session: missing")
    message = payload.pop("text", None)
    if message is not None and not isinstance(message, str):
        raise InvalidMessageError("text: not a string")
    given = payload.pop("message", message)
    return {**payload, "message": "" if given is None else given}


@contextmanager
def _opened(file: Path) -> Iterator[Iterator[str]]:
    """Open a file, or standard input, as lines."""
    if str(file) == "-":
        yield iter(sys.stdin)
        return
    try:
        # Bytes that are no UTF-8 make their line wrong, and not the whole file.
        stream = file.open(encoding="utf-8-sig", errors="surrogateescape", newline="\n")
    except OSError as error:
        raise ConfigurationError(f"cannot read {str(file)!r}: {error.strerror}") from error
    with stream:
        yield iter(stream)


def _progress() -> Progress:
    return Progress(
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=stderr,
        disable=not stderr.is_terminal,
    )

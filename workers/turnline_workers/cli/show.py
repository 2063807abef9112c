"""``turnline show``: a session, what was said in it, and what a model would be shown of that."""

import json as jsonlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from sqlalchemy import Connection

from turnline_schemas.errors import ConfigurationError
from turnline_schemas.event_data import TranscriptEntry
from turnline_schemas.message import Message
from turnline_workers.cli.spoken import spoken
from turnline_workers.cli.target import explained, find_target
from turnline_workers.interaction.shaped import HIDDEN
from turnline_workers.interaction.state import InteractionState, ViewMessage
from turnline_workers.interaction.tokens import guessed_tokens
from turnline_workers.interaction.view import repaired
from turnline_workers.store import migrations
from turnline_workers.store.engine import one_connection
from turnline_workers.store.reading import (
    TurnSummary,
    every_message,
    find_session,
    find_state,
    list_turns,
    transcript,
)

stdout = Console(highlight=False)


def show(
    session: Annotated[str, typer.Argument(help="Session to show.")],
    last: Annotated[int, typer.Option(min=1, max=100_000, help="How many turns.")] = 20,
    view: Annotated[
        bool, typer.Option("--view", help="What a model would be shown next, and why.")
    ] = False,
    whole: Annotated[
        bool, typer.Option("--transcript", help="Everything that was ever said.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Show a session: its state, its last turns, and what was said in them.

    Examples:

      turnline show ses_42

      turnline show ses_42 --view

      turnline show ses_42 --transcript --json > ses_42.jsonl
    """
    if view and whole:
        raise typer.BadParameter("give --view or --transcript, not both")
    with explained(), one_connection(find_target().database_url) as connection:
        migrations.check(connection)
        found = find_session(connection, session)
        if found is None:
            raise ConfigurationError(f"no session {session!r}; 'turnline sessions' lists them")
        if view:
            state = find_state(connection, session) or InteractionState()
            _show_view(session, state, json=json)
        elif whole:
            for entry in every_message(connection, session):
                _show_entry(entry, json=json)
        else:
            _show_turns(connection, found, last, json=json)


def _show_turns(connection: Connection, found: dict[str, Any], last: int, *, json: bool) -> None:
    session = found["session"]
    turns = list_turns(connection, session, last=last)
    shown = {turn.turn for turn in turns}
    said = [
        entry
        for entry in transcript(connection, session, last=None if json else 20 * last)
        if entry.turn in shown
    ]
    if json:
        everything = found | {
            "turns": [asdict(turn) for turn in turns],
            "transcript": [entry.model_dump(mode="json") for entry in said],
        }
        typer.echo(jsonlib.dumps(everything, default=str, ensure_ascii=False))
        return
    stdout.print(_header(found), markup=False)
    for turn in turns:
        stdout.print(f"\n[bold]{turn.turn}[/]  {_state(turn)}", end="")
        stdout.print(_note(turn), markup=False, soft_wrap=True)
        for entry in said:
            if entry.turn == turn.turn:
                _line(str(entry.index), entry.message)


def _header(found: dict[str, Any]) -> str:
    owner = f", played by {found['owner']}" if found["owner"] else ""
    user = f", user {found['user']}" if found["user"] else ""
    return (
        f"{found['session']}: {found['status']}{owner}{user}, {found['messages']} messages,"
        f" last seq {found['last_seq']}"
    )


def _state(turn: TurnSummary) -> str:
    return turn.status + (f", attempt {turn.attempts}" if turn.attempts > 1 else "")


def _note(turn: TurnSummary) -> str:
    if turn.pause:
        asked = jsonlib.dumps(turn.pause["payload"], ensure_ascii=False)
        refused = " (later turns are refused)" if turn.pause.get("later_turns") == "refuse" else ""
        command = f"turnline resume {turn.turn} --value JSON --follow"
        return f"  waits for {turn.pause['kind']}: {asked}{refused}; {command}"
    return f"  {turn.error['code']}: {turn.error['message']}" if turn.error else ""


def _show_entry(entry: TranscriptEntry, *, json: bool) -> None:
    if json:
        typer.echo(entry.model_dump_json())
    else:
        _line(str(entry.index), entry.message, note=entry.turn)


def _show_view(session: str, state: InteractionState, *, json: bool) -> None:
    # As with the next message of a user behind it, which is when a model is called.
    shown_next, repairs = repaired((*state.messages, Message(role="user", content="?")))
    messages = [each for each in shown_next[:-1] if isinstance(each, ViewMessage)]
    hidden, said = state.private.get(HIDDEN, {}), state.next_index - 1
    if json:
        shown = {
            "session": session,
            "messages": [each.model_dump(mode="json") for each in messages],
            "transcript_messages": said,
            "guessed_tokens": _tokens(messages),
            "hidden": hidden,
            "repairs": repairs,
        }
        typer.echo(jsonlib.dumps(shown, ensure_ascii=False))
        return
    total = f"{len(messages)} messages of {said} that were said"
    title = f"{session}: a model would be shown {total}, about {_tokens(messages)} tokens"
    stdout.print(title, markup=False)
    for policy, what in hidden.items():
        span = f"{what['messages']} messages between {what['first']} and {what['last']}"
        told = f"  {policy} hid {span}, last after turn {what['turn']}"
        stdout.print(told, markup=False, soft_wrap=True)
    for message in messages:
        _line("-" if message.index is None else str(message.index), message, note=_author(message))
    for repair in repairs:
        stdout.print(f"  mended before the call: {repair}", markup=False, soft_wrap=True)


def _author(message: ViewMessage) -> str:
    if message.by is None:
        return ""
    return f"{'made' if message.index is None else 'changed'} by {message.by}"


def _tokens(messages: Sequence[Message]) -> int:
    return sum(guessed_tokens(message) for message in messages)


def _line(index: str, message: Message, *, note: str = "") -> None:
    stdout.print(f"  [dim]{index:>4} {message.role:<9}[/] ", end="")
    stdout.print(spoken(message), markup=False, soft_wrap=True, end="")
    stdout.print(f"  {note}" if note else "", markup=False, style="dim", soft_wrap=True)

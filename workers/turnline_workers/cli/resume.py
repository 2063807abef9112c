"""``turnline resume``: answer what a turn is paused for."""

import json as jsonlib
from typing import Annotated, Any

import typer

from turnline_schemas.errors import ConfigurationError, InvalidInputError
from turnline_schemas.receipt import Receipt
from turnline_workers.cli.show_events import follow_answer
from turnline_workers.cli.target import Target, explained, find_target
from turnline_workers.interaction.answers import wrong_answer
from turnline_workers.store import migrations
from turnline_workers.store.engine import one_connection
from turnline_workers.store.reading import find_turns


def resume(
    turn: Annotated[str, typer.Argument(help="Paused turn.")],
    value: Annotated[str, typer.Option(help="The answer, as JSON.")] = "null",
    session: Annotated[str | None, typer.Option(help="Its session, if several have it.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Show what comes of it.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="The receipt, and events, as JSON lines.")
    ] = False,
) -> None:
    """Answer what a turn is paused for; it goes on from there.

    The answer is checked against the question's schema.  Answering twice changes nothing.

    Examples:

      turnline resume order-17 --value true --follow

      turnline resume order-17 --value '{"decision": "done", "result": {"paid": 12}}'
    """
    with explained():
        answer = _read(value)
        target = find_target()
        where, question = _paused(target, turn, session)
        problem = wrong_answer(question["answer_schema"], answer)
        if problem is not None:
            raise InvalidInputError(f"not what turn {turn!r} asks for: {problem}")
        with target.producer() as producer:

            def go_on() -> Receipt:
                return producer.resume(where, turn, question["pause"], answer, confirm=True)

            if follow:
                follow_answer(target, where, go_on, json=json)
                return
            receipt = go_on()
    if json:
        typer.echo(receipt.model_dump_json())
    else:
        typer.echo(f"turn {turn} of session {where} goes on")


def _read(value: str) -> Any:
    try:
        return jsonlib.loads(value)
    except ValueError as error:
        raise InvalidInputError(
            f"--value is not JSON ({error}); text needs quotes of its own: --value '\"yes\"'"
        ) from error


def _paused(target: Target, turn: str, session: str | None) -> tuple[str, dict[str, Any]]:
    """Return the session of a paused turn, and what it asks."""
    with one_connection(target.database_url) as connection:
        migrations.check(connection)
        found = find_turns(connection, turn, session)
    if not found:
        raise ConfigurationError(f"no turn {turn!r} is paused, or known")
    paused = [(each.session, each.question) for each in found if each.question is not None]
    if not paused:
        states = ", ".join(f"{each.status} in {each.session}" for each in found)
        raise ConfigurationError(f"no turn {turn!r} is paused; it is {states}: nothing was changed")
    if len(paused) > 1:
        names = ", ".join(name for name, _ in paused)
        raise ConfigurationError(f"turn {turn!r} is paused in {names}; name one with --session")
    return paused[0]

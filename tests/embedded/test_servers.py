"""The embedded servers: they start, keep their data, and leave nobody behind."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psutil
import psycopg
import pytest
from redis import Redis
from redis.exceptions import AuthenticationError

from turnline_workers.embedded.errors import DataDirInUseError, NotStartedError, StartError
from turnline_workers.embedded.process import Child, Stage
from turnline_workers.embedded.redis import RedisServer
from turnline_workers.embedded.servers import EmbeddedServers
from turnline_workers.embedded.waiting import wait_until

SUPERVISE = """
import sys, time
from pathlib import Path
from typing import Any
from turnline_workers.embedded.servers import EmbeddedServers
with EmbeddedServers(Path(sys.argv[1])) as servers:
    print("ready", flush=True)
    time.sleep(600)
"""
"""A supervisor to be killed."""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServers]:
    with EmbeddedServers(tmp_path_factory.mktemp("servers") / "data") as running:
        yield running


def test_both_servers_answer_and_are_safe_for_turns(servers: EmbeddedServers) -> None:
    with closing(psycopg.connect(servers.database_url)) as postgres:
        settings = [
            postgres.execute(f"SHOW {name}").fetchone()
            for name in ("fsync", "max_connections", "server_encoding")
        ]
    with Redis.from_url(servers.redis_url, decode_responses=True) as redis:
        policy = redis.config_get("maxmemory-policy")
        appending = redis.config_get("append*")

    assert settings == [("on",), ("200",), ("UTF8",)]
    assert policy == {"maxmemory-policy": "noeviction"}
    assert appending["appendonly"] == "yes"
    assert appending["appendfsync"] == "everysec"


def test_nobody_gets_in_without_the_password(servers: EmbeddedServers) -> None:
    with pytest.raises(psycopg.OperationalError, match=r"password"):
        psycopg.connect(_without_password(servers.database_url))
    with (
        Redis.from_url(_without_password(servers.redis_url)) as redis,
        pytest.raises(AuthenticationError),
    ):
        redis.ping()


def test_postgres_never_runs_as_root(servers: EmbeddedServers) -> None:
    pid = servers.postgres.child.pid

    assert psutil.Process(pid).uids().effective != 0


def test_a_killed_server_comes_back_with_its_data_on_the_same_port(
    servers: EmbeddedServers,
) -> None:
    with closing(psycopg.connect(servers.database_url, autocommit=True)) as postgres:
        postgres.execute("CREATE TABLE kept AS SELECT 42 AS answer")

    for server in (servers.postgres, servers.redis):
        server.child.kill()
        server.start()

    with closing(psycopg.connect(servers.database_url)) as postgres:
        assert postgres.execute("SELECT answer FROM kept").fetchone() == (42,)
    with Redis.from_url(servers.redis_url) as redis:
        assert redis.ping()


def test_an_extra_redis_has_its_own_port_and_data(servers: EmbeddedServers) -> None:
    broker = servers.extra_redis("broker")

    with Redis.from_url(broker.url) as one, Redis.from_url(servers.redis_url) as other:
        one.set("who", "broker")
        assert other.get("who") is None


def test_a_second_start_on_the_same_data_dir_is_refused(servers: EmbeddedServers) -> None:
    second = EmbeddedServers(servers.home.path)

    with pytest.raises(DataDirInUseError, match=f"in use by process {os.getpid()}") as refused:
        second.start()

    assert refused.value.pid == os.getpid()
    assert servers.postgres.answers()


def test_secrets_are_readable_by_their_owner_only(servers: EmbeddedServers) -> None:
    home = servers.home.path

    for name in ("postgres.json", "redis.json", "redis/redis.conf", "children.json"):
        assert (home / name).stat().st_mode & 0o077 == 0, name
    assert not list(home.glob("*.password"))


def test_children_of_a_killed_supervisor_are_ended_at_the_next_start(tmp_path: Path) -> None:
    home = tmp_path / "data"
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISE, str(home)], stdout=subprocess.PIPE
    ) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == b"ready\n"
        supervisor.kill()
    orphans = [psutil.Process(child["pid"]) for child in _children(home)]
    assert [orphan.name() for orphan in orphans] == ["postgres", "redis-server"]
    ports = (_endpoint_port(home, "postgres"), _endpoint_port(home, "redis"))
    said: list[str] = []

    with EmbeddedServers(home, say=said.append) as servers:
        assert not any(_runs(orphan) for orphan in orphans)
        assert (servers.postgres.endpoint.port, servers.redis.endpoint.port) == ports
        now = [child["pid"] for child in _children(home)]
        assert now == [servers.postgres.child.pid, servers.redis.child.pid]

    assert [line.split(" (")[0] for line in said if "left by" in line] == [
        "ending redis",
        "ending postgres",
    ]
    assert not any(psutil.pid_exists(pid) for pid in now)
    assert _children(home) == []


def test_a_pid_that_belongs_to_somebody_else_by_now_is_left_alone(tmp_path: Path) -> None:
    home = tmp_path / "data"
    home.mkdir()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        entry = {"name": "redis", "stage": "REDIS", "pid": bystander.pid, "created": 1.0}
        (home / "children.json").write_text(json.dumps([entry]))

        with EmbeddedServers(home, postgres=False):
            assert bystander.poll() is None

        bystander.communicate(b"\n", timeout=10)
        assert bystander.returncode == 0


def test_another_port_is_taken_if_the_remembered_one_is_in_use(tmp_path: Path) -> None:
    with EmbeddedServers(tmp_path, postgres=False) as servers:
        port = servers.redis.endpoint.port
    with (
        socket.create_server(("127.0.0.1", port)),
        EmbeddedServers(tmp_path, postgres=False) as servers,
    ):
        assert servers.redis.endpoint.port != port
        assert servers.redis.answers()


def test_a_server_that_cannot_start_says_what_its_log_says(tmp_path: Path) -> None:
    class Broken(RedisServer):
        def command(self) -> Sequence[str]:
            return ["/bin/sh", "-c", "echo no disk; exit 1"]

    with EmbeddedServers(tmp_path, postgres=False, redis=False) as servers:
        broken = Broken(servers.home, "redis", start_seconds=0.1)
        with pytest.raises(NotStartedError):
            _ = broken.child

        with pytest.raises(StartError, match=r"redis does not answer[\s\S]*no disk"):
            broken.start()


def test_a_program_that_is_not_there_is_no_traceback(tmp_path: Path) -> None:
    child = Child("redis", Stage.REDIS, ["/does/not/exist"], log=tmp_path / "redis.log")

    with pytest.raises(StartError, match="redis cannot be run: No such file"):
        child.start()


def test_a_frozen_server_is_killed_in_the_end(tmp_path: Path) -> None:
    with EmbeddedServers(tmp_path, postgres=False) as servers:
        child = servers.redis.child
        child.patience = ((signal.SIGTERM, 0.1),)
        process = psutil.Process(child.pid)
        process.suspend()

    assert wait_until(lambda: not _runs(process), seconds=5)


def _children(home: Path) -> list[dict[str, Any]]:
    return list(json.loads((home / "children.json").read_text()))


def _endpoint_port(home: Path, name: str) -> int:
    return int(json.loads((home / f"{name}.json").read_text())["port"])


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    user = parts.username or ""
    return urlunsplit(parts._replace(netloc=f"{user}@{parts.hostname}:{parts.port}".lstrip("@")))

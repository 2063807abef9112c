"""Counts what a turn costs: statements that Postgres got, commands that Redis got."""

import re
import threading
from pathlib import Path
from typing import Any

import redis

from harness.world import World

_ENTRY = re.compile(
    r"^\d{4}-\S+ \S+ \S+ \[(?P<pid>\d+)\] LOG:  (?:statement|execute [^:]*): "
    r"(?P<sql>.*?)(?=^\d{4}-|\Z)",
    re.MULTILINE | re.DOTALL,
)


class StatementLog:
    """Statements of a world's workers, as Postgres itself logs them: one round trip each."""

    def __init__(self, world: World) -> None:
        """Begin to log.  Connections opened before are not seen, so make this before workers."""
        assert world.backends.postgres_log is not None
        self._log: Path = world.backends.postgres_log
        self._world = world
        with world.backends.admin() as admin:
            admin.execute(f"ALTER DATABASE \"{world.database}\" SET log_statement = 'all'")
        self._from = 0

    def begin(self) -> None:
        """Count from here."""
        self._from = self._log.stat().st_size

    def statements(self) -> list[list[str]]:
        """Return what was said since ``begin``, one list per connection, in order."""
        workers = self._world.truth.rows(
            "SELECT pid FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'turnline'"
        )
        said: dict[str, list[str]] = {str(row["pid"]): [] for row in workers}
        with self._log.open("rb") as file:
            file.seek(self._from)
            text = file.read().decode("utf-8", "replace")
        for entry in _ENTRY.finditer(text):
            if entry["pid"] in said:
                said[entry["pid"]].append(_short(entry["sql"]))
        return [each for each in said.values() if each]


def _short(sql: str) -> str:
    """Return what a statement does to which table; only the verb if it is about none."""
    for verb, pattern in (("insert", "INSERT INTO"), ("update", "UPDATE"), ("select", "FROM")):
        if table := re.search(rf"{pattern}\s+turnline\.(\w+)", sql):
            return f"{verb} {table[1]}"
    return sql.split()[0].lower()


class CommandLog:
    """Commands that clients send to a Redis, for as long as the block lasts."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(url)
        self._database = self._redis.connection_pool.connection_kwargs["db"]
        self._thread = threading.Thread(target=self._run)
        self._monitor = self._redis.monitor()
        self.commands: list[str] = []

    def verbs(self) -> list[str]:
        """Return what was commanded, without what clients do to keep a connection."""
        verbs = [command.split()[0].lower() for command in self.commands]
        return [verb for verb in verbs if verb not in {"select", "ping", "auth", "client", "hello"}]

    def __enter__(self) -> "CommandLog":
        self._monitor.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with redis.Redis(connection_pool=self._redis.connection_pool) as other:
            other.echo("the end of what is counted")
        self._thread.join()
        self._monitor.__exit__(None, None, None)
        self._redis.close()

    def _run(self) -> None:
        for seen in self._monitor.listen():
            told: dict[str, Any] = seen
            if "the end of what is counted" in told["command"]:
                return
            if told["client_type"] != "lua" and told["db"] == self._database:
                self.commands.append(told["command"])

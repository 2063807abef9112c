"""Postgres and Redis on a data directory of their own, for as long as a ``with`` block lasts."""

from pathlib import Path
from types import TracebackType
from typing import Self

from turnline_workers.embedded.home import Home, Say, say_nothing
from turnline_workers.embedded.postgres import PostgresServer
from turnline_workers.embedded.process import end_children
from turnline_workers.embedded.redis import RedisServer
from turnline_workers.embedded.server import Server
from turnline_workers.embedded.waiting import StopRequest


class EmbeddedServers:
    """Postgres and Redis.  Nobody restarts them if they die; ``Stack`` does.

    Args:
        postgres: False if another Postgres is used.
        redis: False if another Redis is used.
        say: takes lines about progress.
        stop: ends every wait.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        postgres: bool = True,
        redis: bool = True,
        say: Say = say_nothing,
        stop: StopRequest | None = None,
    ) -> None:
        self.home = Home(data_dir)
        self.postgres = PostgresServer(self.home, "postgres", say=say, stop=stop)
        self.redis = RedisServer(self.home, "redis", say=say, stop=stop)
        self._wanted: list[Server] = []
        if postgres:
            self._wanted.append(self.postgres)
        if redis:
            self._wanted.append(self.redis)
        self._started: list[Server] = []
        self._say = say
        self._stop_request = stop

    @property
    def database_url(self) -> str:
        """libpq URL of Postgres, with password."""
        return self.postgres.url

    @property
    def redis_url(self) -> str:
        """URL of Redis, with password."""
        return self.redis.url

    @property
    def running(self) -> tuple[Server, ...]:
        """The servers that were started and not stopped."""
        return tuple(self._started)

    def start(self) -> None:
        """Take the data directory and start the servers.

        Raises:
            ConfigurationError: the directory is in use, or a server does not come up.
            StoppedError: somebody asked to stop meanwhile.
        """
        self.home.open(self._say)
        try:
            for server in self._wanted:
                self._start(server)
        except BaseException:
            self.stop()
            raise

    def extra_redis(self, name: str) -> RedisServer:
        """Start one more Redis with its own port and data, for instance as the broker."""
        redis = RedisServer(self.home, name, say=self._say, stop=self._stop_request)
        self._start(redis)
        return redis

    def stop(self) -> None:
        """End the servers and let the data directory go."""
        try:
            end_children(
                [server.child for server in self._started if server.launched],
                stop=self._stop_request,
            )
        finally:
            self._started.clear()
            self.home.close()

    def _start(self, server: Server) -> None:
        self._started.append(server)
        server.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

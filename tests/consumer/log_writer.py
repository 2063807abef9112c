"""Writes a session's log as the workers do: with their own Lua script."""

from itertools import count

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from turnline_schemas.names import events_channel, log_key, meta_key
from turnline_workers.bus.scripts import PUBLISH


class LogWriter:
    """Publishes events of one session, numbered by Redis."""

    def __init__(self, url: str, session: str) -> None:
        self.session = session
        self.redis = redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0))
        self._epochs = (f"epoch{number}" for number in count(1))

    def publish(
        self, events: int = 1, *, channel: str | None = None, floor: int = 0, longest: int = 100_000
    ) -> int:
        """Publish a batch of ``events`` in one frame; return the log's top."""
        keys = [meta_key(self.session), log_key(self.session)]
        arguments = [channel or events_channel(self.session), "", "", "", floor]
        arguments += [next(self._epochs), 0, longest, 600, 600, ""]
        arguments += [delta(self.session)] * events
        return int(self.redis.eval(PUBLISH, len(keys), *keys, *arguments)[2])

    def forget(self) -> None:
        """Lose the log and its meta, as a Redis that lost its data does."""
        self.redis.delete(meta_key(self.session), log_key(self.session))

    def expire_log(self) -> None:
        """Lose the log, and keep its meta."""
        self.redis.delete(log_key(self.session))

    def trim_to(self, seq: int) -> None:
        """Keep the events from ``seq`` on."""
        self.redis.xtrim(log_key(self.session), minid=f"{seq}-0", approximate=False)

    def kill_connections(self, kind: str) -> int:
        """Cut all others' connections of a kind, ``pubsub`` or ``normal``; return how many."""
        return int(self.redis.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"))

    def subscribers(self) -> int:
        """Return how many connections hear the session's channel."""
        return int(self.redis.pubsub_numsub(events_channel(self.session))[0][1])

    @property
    def epoch(self) -> str:
        epoch = self.redis.hget(meta_key(self.session), "epoch")
        assert epoch is not None
        return epoch.decode()

    def __enter__(self) -> "LogWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.redis.close()


def delta(session: str, kind: str = "text.delta") -> str:
    """Return an event as the publisher hands it to the script: without its beginning."""
    return (
        f'"session":"{session}","turn":"t1","attempt":1,"ts":1,"type":"{kind}",'
        '"data":{"part":"t1.0.0","delta":"hi"}}'
    )

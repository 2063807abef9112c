"""Listens to a session's pub/sub channel, as ``redis-cli subscribe`` would."""

import json
from typing import Any

import redis

from harness.truth import Row


class Channel:
    """What was published since the block was entered."""

    def __init__(self, url: str, session: str) -> None:
        self._redis = redis.Redis.from_url(url, decode_responses=True)
        self._pubsub = self._redis.pubsub()
        self._name = f"tl:{{{session}}}:events"

    def events(self) -> list[Row]:
        """Return the events published since the last call."""
        found: list[Row] = []
        while (message := self._next()) is not None:
            if message["type"] == "message":
                found += json.loads(message["data"])["events"]
        return found

    def __enter__(self) -> "Channel":
        self._pubsub.subscribe(self._name)
        assert self._next()["type"] == "subscribe"
        return self

    def __exit__(self, *_: object) -> None:
        self._pubsub.close()
        self._redis.close()

    def _next(self) -> Any:
        return self._pubsub.get_message(timeout=0.2)

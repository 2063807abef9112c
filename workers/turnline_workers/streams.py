"""Where the events of sessions that are played in process go: ready-made streams, the contract."""

from turnline_workers.errors import (
    SlowReaderError,
    StreamClosedError,
    StreamError,
    StreamFencedError,
)
from turnline_workers.inprocess.redis_stream import RedisStream
from turnline_workers.inprocess.sse import SSEStream
from turnline_workers.inprocess.streams import EventStream, FanOut, IteratorStream
from turnline_workers.inprocess.websocket import WebSocketStream

__all__ = [
    "EventStream",
    "FanOut",
    "IteratorStream",
    "RedisStream",
    "SSEStream",
    "SlowReaderError",
    "StreamClosedError",
    "StreamError",
    "StreamFencedError",
    "WebSocketStream",
]

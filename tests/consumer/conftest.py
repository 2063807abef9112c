"""Fixtures of the reader's tests."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from consumer_colours import Follow
from consumer_servers import RedisServer
from log_writer import LogWriter


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if url := os.environ.get("TURNLINE_TEST_REDIS_URL"):
        yield url
        return
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own, to be stopped and started at will."""
    server = RedisServer(tmp_path)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def session() -> str:
    return f"ses_{uuid.uuid4().hex}"


@pytest.fixture
def writer(redis_url: str, session: str) -> Iterator[LogWriter]:
    with LogWriter(redis_url, session) as log_writer:
        yield log_writer


@pytest.fixture(params=["sync", "async"])
def following(request: pytest.FixtureRequest, session: str, redis_url: str) -> Follow:
    return Follow(request.param, session, redis_url)

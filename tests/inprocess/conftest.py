"""One world for all tests of stores and streams; every test has sessions of its own."""

from collections.abc import Iterator

import pytest
from harness.backends import Backends
from harness.world import World, a_world


@pytest.fixture(scope="session")
def place(backends: Backends, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A database and a Redis, without workers."""
    with a_world(
        backends, tmp_path_factory.mktemp("place"), redis_db=3, failed=lambda: False
    ) as common:
        yield common

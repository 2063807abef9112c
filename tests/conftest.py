"""Fixtures of the tests that need servers: one set of servers, one world per test or module."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.backends import Backends, run_backends
from harness.world import World, a_world

ASSISTANTS = "acting:brief,acting:tripping,acting:blocking,acting:hogging,acting:broken"

FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def backends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backends]:
    """Postgres, Redis and a broker, for all tests."""
    with run_backends(tmp_path_factory.mktemp("backends") / "data") as running:
        yield running


@pytest.fixture
def world(request: pytest.FixtureRequest, backends: Backends, tmp_path: Path) -> Iterator[World]:
    """A database and a Redis of the test's own."""
    node = request.node
    with a_world(
        backends, tmp_path, redis_db=1, failed=lambda: node.stash.get(FAILED, False)
    ) as fresh:
        yield fresh


@pytest.fixture(scope="session")
def crew(backends: Backends, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world with two workers, for all tests that do them no harm."""
    directory = tmp_path_factory.mktemp("crew")
    with a_world(backends, directory, redis_db=2, failed=lambda: False) as common:
        common.workers(2, assistants=ASSISTANTS)
        yield common


@pytest.fixture
def stage(request: pytest.FixtureRequest, crew: World) -> Iterator[World]:
    """The common world; what happens in it is this test's doing until the test ends."""
    crew.next_test()
    yield crew
    if request.node.stash.get(FAILED, False):
        crew.show_workers()
    else:
        crew.check_rest()
        crew.check_workers()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Remember whether a test failed, for fixtures that then show more."""
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report

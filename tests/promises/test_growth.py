"""If a policy cuts the view, a turn costs the same at the 5,000th message as at the tenth."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from harness.backends import Backends
from harness.builders import saying
from harness.costs import StatementLog
from harness.shell import Shell
from harness.waiting import until
from harness.world import World, a_world
from long_sessions import crowd, fill, settle_down
from table_rows import IDLE, Rows, count, touched

ASSISTANTS = "growing:windowed,growing:endless"
WINDOW = 3
"""Turns that ``growing.windowed`` keeps."""
LENGTHS = {"short": 10, "long": 5000}
"""Messages."""
TRANSACTIONS = 3
"""Of a turn: intake and claim, commit, outbox."""
QUIET = {"sweep": 3600, "lease": 36_000, "assistants": ASSISTANTS}
"""No sweep and no heartbeat while we count."""


@dataclass(frozen=True)
class Cost:
    """What one turn cost Postgres."""

    statements: list[str]
    rows: dict[str, Rows]


class Ledger:
    """A world with a worker, and what one turn of a filled session costs in it."""

    def __init__(self, world: World, connection: "psycopg.Connection[Any]") -> None:
        self.world = world
        self.connection = connection
        self.log = StatementLog(world)

    def open(self) -> None:
        """Start the worker, once sessions are there."""
        crowd(self.connection)
        settle_down(self.connection)
        self.world.worker(**QUIET)
        for number in range(25):  # until statements are prepared on every connection
            self.play("warm", assistant="windowed" if number % 2 else "endless")
        time.sleep(IDLE)

    def play(self, session: str, *, assistant: str) -> None:
        """Play one turn, without a look at the tables."""
        turn = self.world.enqueue(session, assistant=assistant, context=saying("so"))
        types = self.world.truth.types
        until(lambda: "turn.completed" in types(session, turn), what="the turn completes")

    def cost(self, session: str, *, assistant: str) -> Cost:
        """Play one turn; return what it cost."""
        before = count(self.connection, self._nudge)
        self.log.begin()
        self.play(session, assistant=assistant)
        until(lambda: self._said().count("commit") == TRANSACTIONS, what="the outbox is cleared")
        said = self._said()
        after = count(self.connection, self._nudge)
        return Cost(sorted(said), touched(before, after))

    def _said(self) -> list[str]:
        return [each for connection in self.log.statements() for each in connection]

    def _nudge(self) -> None:
        self.world.ring("nobody")


@pytest.fixture(scope="module")
def ledger(backends: Backends, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A worker, and a short and a long session of each of two assistants."""
    if backends.postgres_log is None:
        pytest.skip("this Postgres is somebody else's, and so is its log")
    directory = tmp_path_factory.mktemp("growth")
    with (
        a_world(backends, directory, redis_db=3, failed=lambda: False) as world,
        closing(psycopg.connect(world.database_url, autocommit=True)) as connection,
    ):
        for length, messages in LENGTHS.items():
            fill(connection, f"windowed-{length}", messages, window=WINDOW)
            fill(connection, f"endless-{length}", messages, window=None)
        opened = Ledger(world, connection)
        opened.open()
        yield opened


def test_with_a_window_a_turn_reads_and_writes_the_same_however_long_the_session(
    ledger: Ledger,
) -> None:
    costs = [ledger.cost(f"windowed-{length}", assistant="windowed") for length in LENGTHS]

    assert costs[0] == costs[1]
    assert costs[1].rows["messages"] == Rows(read=2 * WINDOW, inserted=2, updated=0, deleted=0)
    for length, messages in LENGTHS.items():
        row = ledger.world.truth.session(f"windowed-{length}")
        assert (row["messages"], row["view_start"]) == (messages + 2, messages + 3 - 2 * WINDOW)
    verified = Shell(ledger.world, ledger.world.directory)("verify", "--all")
    assert verified.returncode == 0, verified.stdout


def test_without_a_window_a_turn_reads_the_whole_session_and_writes_no_more(
    ledger: Ledger,
) -> None:
    short, long = (ledger.cost(f"endless-{length}", assistant="endless") for length in LENGTHS)

    assert short.statements == long.statements
    assert short.rows["messages"].read == LENGTHS["short"]
    assert long.rows["messages"].read >= LENGTHS["long"]
    for table in short.rows:
        assert short.rows[table][1:] == long.rows[table][1:]

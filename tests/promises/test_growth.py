"""If a policy cuts the view, a turn costs the same at the 5,000th message as at the tenth."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from harness.builders import saying
from harness.costs import StatementLog
from harness.shell import Shell
from harness.waiting import until
from harness.world import World
from long_sessions import crowd, fill, settle_down
from table_rows import IDLE, Rows, count, touched

ASSISTANTS = "growing:windowed,growing:endless"
WINDOW = 3
"""Turns that ``growing.windowed`` keeps."""
FEW, MANY = 10, 5000
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


@pytest.fixture
def ledger(world: World) -> Iterator[Ledger]:
    if world.backends.postgres_log is None:
        pytest.skip("this Postgres is somebody else's, and so is its log")
    with closing(psycopg.connect(world.database_url, autocommit=True)) as connection:
        yield Ledger(world, connection)


def test_with_a_window_a_turn_reads_and_writes_the_same_however_long_the_session(
    ledger: Ledger,
) -> None:
    for session, messages in (("short", FEW), ("long", MANY)):
        fill(ledger.connection, session, messages, window=WINDOW)
    ledger.open()

    short = ledger.cost("short", assistant="windowed")
    long = ledger.cost("long", assistant="windowed")

    assert short == long
    assert long.rows["messages"] == Rows(read=2 * WINDOW, inserted=2, updated=0, deleted=0)
    for session, messages in (("short", FEW), ("long", MANY)):
        row = ledger.world.truth.session(session)
        assert (row["messages"], row["view_start"]) == (messages + 2, messages + 3 - 2 * WINDOW)
        verified = Shell(ledger.world, ledger.world.directory)("verify", session)
        assert verified.returncode == 0, verified.stdout


def test_without_a_window_a_turn_reads_the_whole_session_and_writes_no_more(
    ledger: Ledger,
) -> None:
    for session, messages in (("short", FEW), ("long", MANY)):
        fill(ledger.connection, session, messages, window=None)
    ledger.open()

    short = ledger.cost("short", assistant="endless")
    long = ledger.cost("long", assistant="endless")

    assert short.statements == long.statements
    assert short.rows["messages"].read == FEW
    assert long.rows["messages"].read >= MANY
    for table in short.rows:
        assert short.rows[table][1:] == long.rows[table][1:]

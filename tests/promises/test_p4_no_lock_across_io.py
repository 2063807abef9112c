"""P4: no transaction is open while a model runs; and a turn costs a fixed number of statements."""

import re
from collections import Counter
from pathlib import Path

import psycopg
import pytest
from harness.builders import a_session, lasting
from harness.waiting import until
from harness.world import World

TURNS = 50
SECONDS = 5.0

OLDEST = """
    SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)
    FROM pg_stat_activity
    WHERE datname = %s AND application_name = 'turnline' AND xact_start IS NOT NULL
"""
CONNECTIONS = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND application_name = 'turnline'
"""


def test_no_transaction_is_old_while_fifty_long_turns_are_in_flight(world: World) -> None:
    world.worker()
    sessions = [a_session("long") for _ in range(TURNS)]
    turns = {name: world.enqueue(name, context=lasting(SECONDS)) for name in sessions}
    playing = "SELECT count(*) FROM turnline.turns WHERE status = 'playing'"
    oldest, connections, most = 0.0, 0, 0

    with psycopg.connect(world.database_url, autocommit=True) as looking:

        def count(query: str, *values: object) -> float:
            row = looking.execute(query, values).fetchone()
            return float(row[0]) if row else 0.0

        def all_ended() -> bool:
            nonlocal oldest, connections, most
            oldest = max(oldest, count(OLDEST, world.database))
            connections = max(connections, int(count(CONNECTIONS, world.database)))
            most = max(most, int(count(playing)))
            return all(world.truth.ended(name, turn) for name, turn in turns.items())

        until(all_ended, seconds=60, what="all turns have ended")

    assert most == TURNS, "they were in flight at the same time"
    assert oldest < 1.0
    assert connections <= 4


_STATEMENT = re.compile(r"LOG:  (?:execute [^:]*|statement): (.*?)(?=\n\S*\d{4}-|\Z)", re.DOTALL)


class Cost:
    """What the second turn of a session asked of the servers."""

    def __init__(self, statements: list[str], redis: Counter[str]) -> None:
        self.statements = statements
        self.redis = redis


@pytest.fixture
def cost(world: World) -> Cost:
    """Play one turn to warm a session up, and look at the next one."""
    if world.backends.postgres_log is None:
        pytest.skip("the log of a Postgres that is not ours cannot be read")
    with world.backends.admin() as admin:
        admin.execute(f"ALTER DATABASE {world.database} SET log_statement = 'all'")  # type: ignore[call-overload]
    # No heartbeat and no sweep may fall into the turn that is counted.
    world.worker(sweep=3600, lease=3600)
    session = a_session("cost")
    first = world.enqueue(session)
    until(lambda: world.truth.ended(session, first), what="the session is warm")
    until(lambda: not world.truth.outbox(), what="its outbox is empty")
    before, calls = world.backends.postgres_log.stat().st_size, redis_calls(world)

    second = world.enqueue(session)

    until(lambda: world.truth.ended(session, second), what="the turn is played")
    until(lambda: not world.truth.outbox(), what="the outbox is empty")
    return Cost(logged(world.backends.postgres_log, before), redis_calls(world) - calls)


def logged(log: Path, start: int) -> list[str]:
    """Return verb and table of each statement that a worker sent, in order."""
    said = log.read_bytes()[start:].decode("utf-8", "replace")
    asked = re.findall(
        r"LOG:  (?:execute [^:]*|statement): (.*?)(?=\n\S*\d{4}-|\Z)", said, re.DOTALL
    )
    brief = []
    for statement in asked:
        text = " ".join(statement.split())
        if text.startswith(("SELECT *", "SELECT count(*)", "SELECT 1")):
            continue  # this test itself
        table = re.search(r"(?:FROM|INTO|UPDATE) turnline\.(\w+)", text)
        brief.append(f"{text.split(' ', 1)[0]} {table[1]}" if table else text)
    return brief


def redis_calls(world: World) -> Counter[str]:
    """Return how often clients called each command of the data Redis."""
    stats = world.truth.redis.info("commandstats")
    return Counter({name.removeprefix("cmdstat_"): each["calls"] for name, each in stats.items()})


def test_a_warm_turn_costs_a_fixed_number_of_statements(cost: Cost) -> None:
    intake = "SELECT sessions, INSERT turns, UPDATE turns, SELECT messages, UPDATE sessions"
    commit = "SELECT sessions, INSERT messages, UPDATE turns, WITH turns"
    outbox = "UPDATE turns"

    asked = cost.statements

    assert asked == [
        each
        for block in (intake, commit, outbox)
        for each in ("BEGIN", *block.split(", "), "COMMIT")
    ]


def test_a_warm_turn_costs_a_fixed_number_of_round_trips_to_redis(cost: Cost) -> None:
    scripts = {
        "enqueue": 1,
        "accept": 1,
        "events": 2,  # what was there at once, and what came while Redis was busy
        "terminal event": 1,
    }

    assert cost.redis["xrange"] == 1
    assert cost.redis["evalsha"] <= sum(scripts.values())
    assert cost.redis["publish"] <= 4

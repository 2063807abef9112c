"""What one warm turn costs.  A round trip that creeps in fails here."""

import pytest
from harness.builders import a_session, saying
from harness.costs import CommandLog, StatementLog
from harness.waiting import until
from harness.world import World

QUIET = {"sweep": 60, "lease": 600}
"""No sweep and no heartbeat while we count."""

RECEIVE_AND_CLAIM = [
    "begin",
    "select sessions",  # lock the row
    "insert turns",
    "update turns",  # pick the next one
    "select messages",  # load the view, and what is not published
    "update sessions",
    "commit",
]
COMMIT = [
    "begin",
    "select sessions",  # lock the row, check the fence
    "insert messages",
    "update turns",  # settle
    "update sessions",  # store the view, release
    "commit",
]
OUTBOX = ["begin", "update turns", "commit"]
"""Once for all turns that ended within a quarter of a second."""

ENQUEUE_AND_INTAKE = ["evalsha", "xrange", "evalsha"]
BATCHES = 3
"""Of events, at most: the start, what comes while Redis is busy with that, the end."""


def test_one_warm_turn_is_this_many_round_trips_to_postgres(world: World) -> None:
    if world.backends.postgres_log is None:
        pytest.skip("this Postgres is somebody else's, and so is its log")
    session = a_session()
    log = StatementLog(world)
    world.worker(**QUIET)
    warm_up(world, session)

    log.begin()
    play(world, session)

    said = [each for connection in log.statements() for each in connection]
    assert sorted(said) == sorted([*RECEIVE_AND_CLAIM, *COMMIT, *OUTBOX])


def test_one_warm_turn_is_this_many_commands_to_redis(world: World) -> None:
    session = a_session()
    world.worker(**QUIET)
    warm_up(world, session)

    with CommandLog(world.redis_url) as sessions, CommandLog(world.broker_url) as broker:
        play(world, session)

    assert sessions.verbs()[:3] == ENQUEUE_AND_INTAKE
    assert set(sessions.verbs()[3:]) == {"evalsha"}
    assert len(sessions.verbs()) <= len(ENQUEUE_AND_INTAKE) + BATCHES
    assert broker.verbs().count("lpush") == 1
    assert set(broker.verbs()) <= {"lpush", "brpop", "publish"}


def warm_up(world: World, session: str) -> None:
    """Play as many turns as it takes until statements are prepared on every connection."""
    for _ in range(20):
        play(world, session)


def play(world: World, session: str) -> None:
    turn = world.enqueue(session, context=saying("so"))
    until(
        lambda: world.truth.ended(session, turn) and world.truth.outbox() == 0,
        what="the turn ends and its end is published",
    )

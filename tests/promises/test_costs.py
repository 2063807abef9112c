"""What one warm turn costs.  A round trip that creeps in fails here."""

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


def test_one_warm_turn_is_this_many_round_trips_to_postgres(world: World) -> None:
    session = a_session()
    log = StatementLog(world)
    world.worker(**QUIET)
    warm_up(world, session)

    log.begin()
    play(world, session)

    by_connection = log.statements()
    assert sorted(said for one in by_connection for said in one) == sorted(
        [*RECEIVE_AND_CLAIM, *COMMIT, *OUTBOX]
    )


def test_one_warm_turn_is_this_many_commands_to_redis(world: World) -> None:
    session = a_session()
    world.worker(**QUIET)
    warm_up(world, session)

    with CommandLog(world.redis_url) as sessions, CommandLog(world.broker_url) as broker:
        play(world, session)

    said = sessions.named(session)
    print(sessions.commands, broker.commands)
    assert said[:3] == ["evalsha", "xrange", "evalsha"]


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

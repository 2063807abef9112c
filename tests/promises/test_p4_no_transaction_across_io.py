"""P4: while models and tools run, no transaction is open, and connections stay few."""

from harness.builders import a_session, lasting
from harness.waiting import until
from harness.world import World

TURNS = 50
CONNECTIONS = 4
"""Of one worker process, whatever is in flight."""

ACTIVITY = """
SELECT count(*) AS connections,
       coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0) AS oldest
FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'turnline'
"""


def test_no_transaction_is_open_while_models_and_tools_run(world: World) -> None:
    world.worker(assistants="acting:blocking")
    for number in range(TURNS):
        # One in ten sits in a step that blocks a thread; the others stream.
        step = {"assistant": "blocking"} if number % 10 == 0 else {}
        context = {"seconds": 5, **lasting(5, deltas=25)} if not step else {"seconds": 5}
        world.enqueue(a_session(), context=context, **step)
    until(lambda: len(world.truth.owners()) == TURNS, what="all turns are in flight")

    samples = []
    until(lambda: sample(world, samples) == TURNS, seconds=30, what="all turns end")

    assert len(samples) > 40
    assert max(float(each["oldest"]) for each in samples) < 1
    assert max(each["connections"] for each in samples) <= CONNECTIONS


def sample(world: World, samples: list[dict[str, int]]) -> int:
    samples += world.truth.rows(ACTIVITY)
    return world.truth.ends()

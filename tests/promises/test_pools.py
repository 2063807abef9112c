"""Which Celery pools play turns."""

import pytest
from harness.builders import a_session, lasting
from harness.waiting import until
from harness.world import World


def test_stock_threads_play_turns_side_by_side(world: World) -> None:
    world.worker("-P", "threads", slots=8, headroom=4)
    sessions = [a_session("threads") for _ in range(4)]

    turns = {name: world.enqueue(name, context=lasting(2)) for name in sessions}

    until(
        lambda: all(world.truth.status(name, turn) == "playing" for name, turn in turns.items()),
        what="all are played at once",
    )
    until(
        lambda: all(world.truth.ended(name, turn) for name, turn in turns.items()),
        what="all have ended",
    )


# Not "prefork": that is Celery's own default, so it cannot be told from no -P at all.
@pytest.mark.parametrize("pool", ["solo", "processes"])
def test_a_pool_that_cannot_play_turns_is_refused_at_start(world: World, pool: str) -> None:
    worker = world.worker("-P", pool, "-c", "1", ready=False)

    assert worker.wait(seconds=40) == 1
    assert "not supported" in worker.said()
    assert "-P threads" in worker.said()


def test_a_worker_with_the_wrong_schema_says_what_to_run_and_ends(world: World) -> None:
    empty = f"{world.database}_empty"
    url = world.backends.create_empty_database(empty)
    try:
        worker = world.worker(ready=False, database_url=url)

        assert worker.wait(seconds=40) == 1
        assert "turnline migrate" in worker.said()
        assert "Traceback" not in worker.said()
    finally:
        world.backends.drop_database(empty)


def test_a_worker_with_a_wrong_setting_says_which_and_ends(world: World) -> None:
    worker = world.worker(ready=False, slots="many")

    assert worker.wait(seconds=40) == 1
    assert "slots:" in worker.said()
    assert "Traceback" not in worker.said()


def test_a_worker_whose_assistant_cannot_be_loaded_says_so_and_ends(world: World) -> None:
    worker = world.worker(ready=False, assistants="nowhere:assistant")

    assert worker.wait(seconds=40) == 1
    assert "cannot load 'nowhere:assistant'" in worker.said()

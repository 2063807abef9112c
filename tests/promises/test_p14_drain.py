"""P14: a worker that is asked to stop ends in time, and loses and doubles nothing."""

from harness.builders import a_session, lasting
from harness.fold import fold
from harness.laws import assert_dense, assert_played_in_order
from harness.producers import an_order, by_session
from harness.waiting import until
from harness.world import World


def test_a_turn_that_ends_within_the_grace_time_is_finished(world: World) -> None:
    session = a_session()
    (worker,) = world.workers(1, grace=10)
    turn = world.enqueue(session, context=lasting(2))
    until(lambda: "text.delta" in world.truth.types(session, turn), what="it streams")
    behind = world.enqueue(session)

    worker.ask_to_end()
    code = worker.wait()

    assert code == 0
    row = world.truth.turn(session, turn)
    assert (row["status"], row["attempts"]) == ("completed", 1)
    assert world.truth.outbox() == 0
    assert world.truth.status(session, behind) in {None, "waiting"}


def test_a_turn_that_lasts_longer_is_handed_over_at_once(world: World) -> None:
    session = a_session()
    # A lease that nobody waits for: whoever hands over says so.
    world.workers(2, grace=0.5, lease=60)
    turn = world.enqueue(session, context=lasting(3, deltas=60))
    until(lambda: "text.delta" in world.truth.types(session, turn), what="it streams")
    leaving = world.owner(session)

    leaving.ask_to_end()
    code = leaving.wait(seconds=10)
    until(lambda: world.truth.ended(session, turn), what="another worker plays it")

    assert code == 0
    log = world.truth.log(session)
    assert_dense(log)
    (told,) = [each["data"] for each in log if each["type"] == "attempt.superseded"]
    assert told == {"attempt": 1, "reason": "handed_over"}
    assert fold(log) == world.truth.transcript(session)


def test_a_turn_may_be_handed_over_more_often_than_it_may_kill(world: World) -> None:
    session = a_session()
    turn = world.enqueue(session, context=lasting(2, deltas=40))

    for attempt in (1, 2):
        worker = world.worker(grace=0, max_attempts=2)
        until(lambda n=attempt: starts(world, session, turn) == n, what=f"attempt {attempt}")
        worker.ask_to_end()
        worker.wait()
    world.worker(max_attempts=2)
    until(lambda: world.truth.ended(session, turn), what="it ends")

    assert world.truth.status(session, turn) == "completed"


def test_rolling_restarts_under_load_lose_and_double_nothing(world: World) -> None:
    plans = [
        [an_order(f"ses-{n % 20}", f"ses-{n % 20}.{producer}.{n}") for n in range(200)]
        for producer in range(2)
    ]
    world.workers(2)

    with world.producers(plans) as producers:
        for leaving in list(world.started):
            world.worker()
            leaving.ask_to_end()
            assert leaving.wait() == 0
        enqueued = producers.results()
    until(lambda: world.truth.ends() == 400, seconds=60, what="all turns end")
    until(lambda: world.truth.outbox() == 0, what="all ends are published")

    for session, each in by_session(enqueued).items():
        assert_played_in_order(world.truth, session, each)


def starts(world: World, session: str, turn: str) -> int:
    return world.truth.types(session, turn).count("turn.started")

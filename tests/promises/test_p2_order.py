"""P2, P5, P6: everything in order and once, with many workers and many producers."""

import random
from collections.abc import Sequence

from harness.laws import assert_played_in_order, key
from harness.lossy import QUEUE, LossyBroker
from harness.producers import Enqueued, Order, an_order, by_session
from harness.waiting import until
from harness.world import World

BRIEF = {"assistants": "acting:brief", "log_length": 100_000}


def test_all_turns_of_all_producers_are_played_once_and_in_order(world: World) -> None:
    plans = [plan(producer, sessions=200, each=5, hot=125) for producer in range(4)]
    world.workers(4, **BRIEF)

    enqueued = play_all(world, plans)

    turns = {session: len(each) for session, each in enqueued.items()}
    assert turns.pop("hot") == 500
    assert turns == {f"ses-{number}": 20 for number in range(200)}


def test_lost_bells_lose_nothing(world: World) -> None:
    plans = [plan(producer, sessions=25, each=2, hot=4) for producer in range(4)]
    world.workers(4, sweep=0.3, **BRIEF)

    with LossyBroker(world.broker) as lossy:
        play_all(world, plans)

    assert lossy.lost >= 20


def test_bells_rung_five_times_change_nothing(world: World) -> None:
    plans = [plan(producer, sessions=15, each=3, hot=10) for producer in range(2)]
    world.faults = ("ring_often",)
    world.workers(2, assistants="faults:bystander,acting:brief")

    play_all(world, plans, rings=5)


def test_bells_in_reverse_order_change_nothing(world: World) -> None:
    plans = [plan(producer, sessions=15, each=3, hot=6) for producer in range(2)]
    with world.producers(plans) as producers:
        enqueued = producers.results()
    world.broker.delete(QUEUE)
    for each in sorted(enqueued, key=lambda one: key(one.position), reverse=True):
        world.ring(each.session, each.turn)

    world.workers(2, **BRIEF)

    assert_all_played(world, enqueued)


def test_a_backlog_of_many_sessions_is_not_rung_for_again_and_again(world: World) -> None:
    plans = [[an_order(f"ses-{producer}-{n}", f"t-{n}") for n in range(500)] for producer in (1, 2)]
    with world.producers(plans) as producers:
        enqueued = producers.results()
    before = bells_sent(world)

    world.workers(2, sweep=0.2, **BRIEF)
    assert_all_played(world, enqueued)

    # Without any limit it is five bells more per session, and on a slow machine still more.
    assert bells_sent(world) - before < 1500, "the sweep rang for what was only slow"


def bells_sent(world: World) -> int:
    """How many messages were put into the broker's queues since it started."""
    return int(world.broker.info("commandstats").get("cmdstat_lpush", {}).get("calls", 0))


def play_all(
    world: World, plans: Sequence[Sequence[Order]], *, rings: int = 1
) -> dict[str, list[Enqueued]]:
    """Enqueue all plans at once, wait until everything has ended, and check every session."""
    with world.producers(plans, rings=rings) as producers:
        return assert_all_played(world, producers.results())


def assert_all_played(world: World, enqueued: list[Enqueued]) -> dict[str, list[Enqueued]]:
    turns = len(enqueued)
    until(lambda: world.truth.ends() == turns, seconds=60 + turns / 20, what=f"{turns} turns end")
    until(lambda: world.truth.outbox() == 0, what="all ends are published")
    sessions = by_session(enqueued)
    for session, each in sessions.items():
        assert_played_in_order(world.truth, session, each)
    return sessions


def plan(producer: int, *, sessions: int, each: int, hot: int) -> list[Order]:
    """Return ``each`` turns for every session in a random order, and ``hot`` for one more."""
    orders = [
        an_order(f"ses-{session}", f"ses-{session}.{producer}.{number}")
        for number in range(each)
        for session in range(sessions)
    ]
    orders += [
        an_order("hot", f"hot.{producer}.{number}", assistant="brief") for number in range(hot)
    ]
    random.Random(producer).shuffle(orders)
    return orders

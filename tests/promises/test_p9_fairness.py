"""P9: nobody waits for somebody else's slow turn while there is room, nor for ever without."""

import pytest
from harness.builders import a_session, lasting, saying
from harness.waiting import until
from harness.world import World

PROMPTLY = 5.0
"""Seconds for what takes milliseconds, on a slow machine; the slow turns last far longer."""


def test_a_slow_session_delays_neither_itself_nor_others(stage: World) -> None:
    slow, other = a_session("slow"), a_session("other")
    playing = stage.enqueue(slow, context=lasting(30, deltas=10))
    until(lambda: stage.truth.status(slow, playing) == "playing", what="the slow turn plays")

    behind = stage.producer.enqueue(slow, "next", confirm=True, timeout=PROMPTLY)
    quick = stage.enqueue(other)
    until(lambda: stage.truth.ended(other, quick), seconds=PROMPTLY, what="the other turn ends")
    stage.producer.cancel(slow, behind.turn)
    until(lambda: stage.truth.ended(slow, behind.turn), seconds=PROMPTLY, what="the cancel")

    assert stage.truth.status(slow, playing) == "playing"
    stage.producer.cancel(slow, playing)
    until(lambda: stage.truth.ended(slow, playing), seconds=PROMPTLY, what="the slow one ends")


def test_accept_and_cancel_work_while_every_slot_is_taken(world: World) -> None:
    slow, third = [a_session("slow"), a_session("slow")], a_session("third")
    world.worker(slots=2)
    turns = {each: world.enqueue(each, context=lasting(60)) for each in slow}
    for session, turn in turns.items():
        until(lambda s=session, t=turn: world.truth.status(s, t) == "playing", what="it plays")

    waiting = world.producer.enqueue(third, "Hello!", confirm=True, timeout=PROMPTLY).turn
    withdrawn = world.producer.enqueue(third, "never mind", confirm=True, timeout=PROMPTLY).turn
    world.producer.cancel(third, withdrawn)
    until(lambda: world.truth.ended(third, withdrawn), seconds=PROMPTLY, what="the cancel")
    before = [world.truth.status(third, waiting), *map(world.truth.status, slow, turns.values())]
    world.producer.cancel(slow[0], turns[slow[0]])
    until(lambda: world.truth.ended(third, waiting), seconds=PROMPTLY, what="the freed slot plays")

    assert before == ["waiting", "playing", "playing"]
    assert world.truth.status(third, withdrawn) == "cancelled"
    assert world.truth.status(slow[1], turns[slow[1]]) == "playing"


@pytest.mark.parametrize(
    "slots",
    [
        2,
        1,
    ],
)
def test_a_session_with_many_waiting_turns_starves_nobody(world: World, slots: int) -> None:
    hot, quiet = a_session("hot"), a_session("quiet")
    for number in range(500):
        world.enqueue(hot, f"say {number}", assistant="brief", context=saying("so"))
    world.worker(slots=slots, assistants="acting:brief")
    until(lambda: world.truth.ends() > 5, what="the hot session is being played")

    turn = world.enqueue(quiet)
    until(
        lambda: world.truth.ended(quiet, turn) or world.truth.ends() > 200, what="some are played"
    )

    assert world.truth.ended(quiet, turn)


def test_a_session_whose_worker_died_is_not_put_last(world: World) -> None:
    orphan = a_session("orphan")
    (doomed,) = world.workers(1, slots=1, lease=1)
    turn = world.enqueue(orphan, context=lasting(3, deltas=10))
    until(lambda: world.truth.status(orphan, turn) == "playing", what="it plays")
    doomed.kill()
    for _ in range(40):
        world.enqueue(a_session(), context=lasting(0.3, deltas=3))

    world.worker(slots=1, lease=1, sweep=0.3)
    until(lambda: world.truth.ends() >= 25, seconds=60, what="most of the others are played")

    assert world.truth.turn(orphan, turn)["attempts"] == 2


def test_more_sessions_than_slots_are_all_played(world: World) -> None:
    sessions = [a_session() for _ in range(12)]
    world.workers(2, slots=2, headroom=1)
    for session in sessions:
        world.enqueue(session, context=lasting(0.5, deltas=5))
        world.enqueue(session)

    until(lambda: world.truth.ends() == 24, seconds=30, what="all turns end")

    assert {row["attempts"] for session in sessions for row in world.truth.turns(session)} == {1}

"""P3, P9: one valid claim per session; who lost it changes nothing, and who lives keeps it."""

import json

from harness.builders import a_session, lasting
from harness.channel import Channel
from harness.fold import fold
from harness.laws import assert_dense
from harness.truth import Row
from harness.waiting import until
from harness.world import World

SHORT = {"lease": 1.5, "sweep": 0.3}


def test_a_worker_frozen_for_longer_than_its_lease_changes_nothing(world: World) -> None:
    session = a_session()
    world.workers(2, **SHORT)
    turn = world.enqueue(session, context=lasting(2, deltas=40))
    until(lambda: "text.delta" in world.truth.types(session, turn), what="it streams")
    frozen = world.owner(session)

    frozen.stop()
    until(lambda: world.truth.ended(session, turn), what="another worker plays the turn")
    until(lambda: world.truth.outbox() == 0, what="its end is published")
    rows, log = everything(world, session), world.truth.log(session)
    with Channel(world.redis_url, session) as channel:
        frozen.cont()
        frozen.says("turn.claim_lost")
        after = channel.events()

    assert (everything(world, session), world.truth.log(session), after) == (rows, log, [])
    assert world.truth.turn(session, turn)["attempts"] == 2
    assert_dense(log)
    assert fold(log) == world.truth.transcript(session)


def test_a_frozen_worker_plays_on_after_it_woke_up(world: World) -> None:
    session, other = a_session(), a_session()
    (worker,) = world.workers(1, **SHORT)
    turn = world.enqueue(session, context=lasting(1))
    until(lambda: "text.delta" in world.truth.types(session, turn), what="it streams")

    worker.stop()
    silent = "SELECT 1 FROM turnline.workers WHERE beat_at < now() - interval '2 s'"
    until(lambda: world.truth.rows(silent), what="its lease ends")
    worker.cont()
    until(lambda: world.truth.ended(session, turn), what="the turn ends")
    again = world.enqueue(other)
    until(lambda: world.truth.ended(other, again), what="a new turn ends")

    assert world.truth.types(session, turn).count("turn.completed") == 1
    assert fold(world.truth.log(session)) == world.truth.transcript(session)


def test_an_end_that_postgres_holds_as_unpublished_is_published_once_however_late(
    world: World,
) -> None:
    session = a_session()
    world.workers(1, sweep=0.2)
    turns = [world.enqueue(session) for _ in range(2)]
    until(lambda: world.truth.ends() == 2, what="both end")
    until(lambda: world.truth.outbox() == 0, what="all ends are published")
    log = world.truth.log(session)

    for turn in turns:
        (end,) = [each for each in log if each["turn"] == turn and each["type"] == "turn.completed"]
        fragment = json.dumps({key: each for key, each in end.items() if key not in ("v", "seq")})
        world.truth.change(
            "UPDATE turnline.turns SET settled_at = settled_at - interval '1 day',"
            " outbox = jsonb_build_object('fragment', %s::text, 'fence', fence) WHERE turn = %s",
            fragment[1:],
            turn,
        )
    for key in world.truth.redis.scan_iter(f"tl:{{{session}}}:settled:*"):
        world.truth.redis.delete(key)
    until(lambda: world.truth.outbox() == 0, what="the sweep has seen to them")

    assert world.truth.log(session) == log


def test_two_workers_that_take_the_same_inbox_accept_each_turn_once(world: World) -> None:
    session = a_session("meet_at_inbox")
    world.faults = ("meet_at_inbox",)
    world.workers(2, assistants="faults:bystander", **SHORT)
    for number in range(5):
        world.enqueue(session, turn=f"turn-{number}")

    for _ in range(4):
        world.ring(session)
    until(lambda: len(world.truth.messages(session)) == 10, what="five turns are played")

    assert len(list(world.directory.glob(f"{session}.*"))) == 2
    turns = world.truth.turns(session)
    assert [row["turn"] for row in turns] == [f"turn-{number}" for number in range(5)]
    assert {row["attempts"] for row in turns} == {1}
    accepted = [event for event in world.truth.log(session) if event["type"] == "turn.accepted"]
    assert [event["turn"] for event in accepted] == [f"turn-{number}" for number in range(5)]


def test_a_turn_may_outlast_lease_and_sweep_while_its_worker_lives(world: World) -> None:
    # Bells are acknowledged early and without emulation, so there is no visibility timeout
    # that could deliver one a second time; the lease and the sweep are all that could.
    streaming, hogging = a_session(), a_session()
    world.workers(2, assistants="acting:hogging", lease=1, sweep=0.2)
    turns = {
        streaming: world.enqueue(streaming, context=lasting(4)),
        hogging: world.enqueue(hogging, assistant="hogging", context={"seconds": 3}),
    }

    for session, turn in turns.items():
        until(lambda s=session, t=turn: world.truth.ended(s, t), what=f"{session} ends")

    for session, turn in turns.items():
        row = world.truth.turn(session, turn)
        assert (row["status"], row["attempts"], row["fence"]) == ("completed", 1, 1)
        assert (row["settled_at"] - row["started_at"]).total_seconds() > 2
        assert world.truth.types(session, turn).count("turn.started") == 1


def everything(world: World, session: str) -> tuple[Row, list[Row], list[Row]]:
    """Return all rows of ``session``."""
    return (
        world.truth.session(session),
        world.truth.turns(session),
        world.truth.messages(session),
    )

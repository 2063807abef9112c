"""P5: a cancelled turn has its one outcome too, wherever the cancel finds it."""

from harness.builders import a_session, lasting
from harness.fold import TERMINAL, fold
from harness.waiting import until
from harness.world import World

PROMPTLY = 5.0
"""Seconds in which a cancel is through on this slow machine; turns here would last far longer."""


def test_a_waiting_turn_is_cancelled_before_it_starts(stage: World) -> None:
    session = a_session()
    playing = stage.enqueue(session, context=lasting(30))
    waiting = stage.enqueue(session, "never mind")
    until(lambda: streams(stage, session, playing), what="the first turn streams")

    stage.producer.cancel(session, waiting, reason="changed my mind")
    until(lambda: stage.truth.ended(session, waiting), seconds=PROMPTLY, what="it is cancelled")
    stage.producer.cancel(session, playing)
    until(lambda: stage.truth.ended(session, playing), seconds=PROMPTLY, what="both are")

    row = stage.truth.turn(session, waiting)
    assert (row["status"], row["attempts"], row["started_at"]) == ("cancelled", 0, None)
    assert stage.truth.types(session, waiting) == ["turn.accepted", "turn.cancelled"]
    assert stage.truth.events(session, waiting)[1]["data"] == {"reason": "changed my mind"}
    assert waiting not in {turn for turn, _, _ in stage.truth.transcript(session)}


def test_a_playing_turn_is_cancelled_promptly_and_keeps_what_it_said(stage: World) -> None:
    session = a_session()
    turn = stage.enqueue(session, context=lasting(30, deltas=300))
    until(lambda: stage.truth.types(session, turn).count("text.delta") > 1, what="it streams")

    stage.producer.cancel(session, turn, reason="enough")
    until(lambda: stage.truth.ended(session, turn), seconds=PROMPTLY, what="it is cancelled")
    until(lambda: stage.truth.outbox() == 0, what="its end is published")

    assert stage.truth.status(session, turn) == "cancelled"
    (end,) = [each for each in stage.truth.events(session, turn) if each["type"] in TERMINAL]
    assert (end["type"], end["data"]) == ("turn.cancelled", {"reason": "enough"})
    (_, (_, role, said)) = stage.truth.transcript(session)
    assert role == "assistant"
    assert said.startswith("word-1 word-2")
    assert "word-300" not in said
    assert fold(stage.truth.log(session)) == stage.truth.transcript(session)


def test_a_cancel_before_its_turn_changes_nothing_and_may_be_repeated(stage: World) -> None:
    session = a_session()
    stage.producer.cancel(session, "t-1")
    turn = stage.enqueue(session, turn="t-1", context=lasting(30, deltas=300))
    until(lambda: streams(stage, session, turn), what="it streams")

    for reason in ("enough", "really"):
        stage.producer.cancel(session, turn, reason=reason)
    until(lambda: stage.truth.ended(session, turn), seconds=PROMPTLY, what="it is cancelled")

    assert stage.truth.events(session, turn)[-1]["data"] == {"reason": "enough"}


def test_cancelling_a_turn_that_ended_changes_nothing(stage: World) -> None:
    session = a_session()
    turn = stage.enqueue(session)
    until(lambda: stage.truth.ended(session, turn), what="the turn ends")
    until(lambda: stage.truth.outbox() == 0, what="its end is published")
    before, log = stage.truth.turn(session, turn), stage.truth.log(session)

    stage.producer.cancel(session, turn)
    until(lambda: stage.truth.inbox(session) == 0, what="the cancel is taken")

    assert stage.truth.turn(session, turn) == before
    assert stage.truth.log(session) == log
    assert stage.truth.session(session)["status"] == "idle"


def test_the_session_goes_on_after_a_cancel(stage: World) -> None:
    session = a_session()
    turn = stage.enqueue(session, context=lasting(30))
    behind = stage.enqueue(session, "Still there?")
    until(lambda: streams(stage, session, turn), what="it streams")

    for _ in range(3):
        stage.producer.cancel(session, turn)
    until(lambda: stage.truth.ended(session, behind), seconds=PROMPTLY + 2, what="the next ends")

    statuses = [row["status"] for row in stage.truth.turns(session)]
    assert statuses == ["cancelled", "completed"]
    assert fold(stage.truth.log(session)) == stage.truth.transcript(session)


def test_a_cancel_that_comes_with_its_turn_is_kept_to(world: World) -> None:
    session = a_session()
    turn = world.enqueue(session)
    world.producer.cancel(session, turn)
    world.producer.cancel(session, "no-such-turn")

    world.worker()
    until(lambda: world.truth.ended(session, turn), what="it is cancelled")
    until(lambda: world.truth.outbox() == 0, what="its end is published")

    assert world.truth.turn(session, turn)["attempts"] == 0
    assert world.truth.types(session, turn) == ["turn.accepted", "turn.cancelled"]


def test_a_delayed_turn_can_be_cancelled(stage: World) -> None:
    session = a_session()
    due = stage.truth.rows("SELECT now() + interval '1 hour' AS due")[0]["due"]
    turn = stage.enqueue(session, not_before=due)
    until(lambda: stage.truth.status(session, turn) == "delayed", what="it is accepted")

    stage.producer.cancel(session, turn)
    until(lambda: stage.truth.ended(session, turn), seconds=PROMPTLY, what="it is cancelled")

    assert stage.truth.types(session, turn) == ["turn.accepted", "turn.cancelled"]


def test_a_turn_whose_worker_died_before_it_was_cancelled_ends_as_cancelled(world: World) -> None:
    session = a_session()
    (doomed,) = world.workers(1, lease=1.5, sweep=0.3)
    turn = world.enqueue(session, context=lasting(60))
    until(lambda: streams(world, session, turn), what="it streams")
    doomed.kill()

    world.producer.cancel(session, turn)
    world.worker(lease=1.5, sweep=0.3)
    until(lambda: world.truth.ended(session, turn), what="it is cancelled")
    until(lambda: world.truth.outbox() == 0, what="its end is published")

    assert world.truth.status(session, turn) == "cancelled"
    log = world.truth.log(session)
    assert [each["type"] for each in log if each["type"] in TERMINAL] == ["turn.cancelled"]
    assert fold(log) == world.truth.transcript(session)


def streams(world: World, session: str, turn: str) -> bool:
    return "text.delta" in world.truth.types(session, turn)

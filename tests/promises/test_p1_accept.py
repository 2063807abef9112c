"""P1: what ``enqueue`` returned for is accepted, once, at its final position."""

from datetime import UTC, datetime, timedelta

import pytest
from harness.builders import a_session, lasting, saying
from harness.fold import fold
from harness.producers import an_order
from harness.waiting import until
from harness.world import World

from turnline_producer.command import Limits
from turnline_schemas.errors import (
    ConfirmTimeoutError,
    InboxFullError,
    PayloadTooLargeError,
    TurnConflictError,
    TurnRefusedError,
)
from turnline_schemas.names import turn_key


def test_a_turn_enqueued_by_several_producers_at_once_is_played_once(stage: World) -> None:
    session = a_session()
    plan = [an_order(session, f"{session}.{number}") for number in range(5)]

    with stage.producers([plan] * 4) as producers:
        enqueued = producers.results()
    until(lambda: len(stage.truth.messages(session)) == 10, what="five turns are played")

    assert sorted(each.status for each in enqueued) == ["duplicate"] * 15 + ["enqueued"] * 5
    assert len({(each.turn, each.position) for each in enqueued}) == 5
    turns = stage.truth.turns(session)
    assert [row["turn"] for row in turns] == [order["turn"] for order in plan]
    assert {(row["status"], row["attempts"]) for row in turns} == {("completed", 1)}
    assert fold(stage.truth.log(session)) == stage.truth.transcript(session)


def test_a_turn_id_with_another_payload_is_refused(stage: World) -> None:
    session = a_session()
    turn = stage.enqueue(session, "one thing")
    until(lambda: stage.truth.ended(session, turn), what="the turn ends")

    with pytest.raises(TurnConflictError, match=turn) as refused:
        stage.enqueue(session, "another thing", turn=turn)

    assert refused.value.position == stage.truth.turn(session, turn)["position"]
    assert len(stage.truth.turns(session)) == 1


def test_a_conflict_that_redis_forgot_is_found_by_intake(stage: World) -> None:
    session = a_session()
    turn = stage.enqueue(session, "one thing")
    until(lambda: stage.truth.outbox() == 0 and stage.truth.ended(session, turn), what="it ends")
    stage.truth.redis.delete(turn_key(session, turn))
    before = stage.truth.turn(session, turn)

    with pytest.raises(TurnRefusedError, match="turn_conflict"):
        stage.producer.enqueue(session, "another thing", turn=turn, confirm=True)

    (letter,) = stage.truth.dead_letters(session)
    assert letter["reason"] == "turn_conflict"
    assert "another thing" in letter["d"]
    assert stage.truth.turn(session, turn) == before
    with pytest.raises(TurnRefusedError):
        stage.enqueue(session, "another thing", turn=turn)


def test_a_turn_that_redis_forgot_is_not_played_again(stage: World) -> None:
    session = a_session()
    turn = stage.enqueue(session)
    until(lambda: stage.truth.outbox() == 0 and stage.truth.ended(session, turn), what="it ends")
    before, log = stage.truth.turn(session, turn), stage.truth.log(session)
    stage.truth.redis.delete(turn_key(session, turn))

    again = stage.producer.enqueue(session, "Hello!", turn=turn, confirm=True)

    assert (again.status, again.confirmed) == ("enqueued", True)
    assert stage.truth.turn(session, turn) == before
    assert stage.truth.log(session) == log
    assert stage.truth.dead_letters(session) == []


def test_confirm_returns_once_the_turn_is_in_postgres(stage: World) -> None:
    session = a_session()

    receipt = stage.producer.enqueue(session, "Hello!", context=lasting(1), confirm=True)
    row = stage.truth.turn(session, receipt.turn)

    assert receipt.confirmed
    assert row["position"] == receipt.position
    until(lambda: stage.truth.ended(session, receipt.turn), what="the turn ends")


def test_confirm_says_so_if_no_worker_takes_the_turn(world: World) -> None:
    session = a_session()

    with pytest.raises(ConfirmTimeoutError, match="is a worker running"):
        world.producer.enqueue(session, "Hello!", turn="one", confirm=True, timeout=0.3)

    assert world.truth.inbox(session) == 1
    assert world.producer.enqueue(session, "Hello!", turn="one").status == "duplicate"


def test_what_is_too_much_is_refused_and_nothing_is_written(world: World) -> None:
    session = a_session()
    with world.new_producer(limits=Limits(inbox=2, max_bytes=1000)) as producer:
        for _ in range(2):
            producer.enqueue(session, "Hello!")

        with pytest.raises(InboxFullError, match="holds 2 turns"):
            producer.enqueue(session, "Hello!")
        with pytest.raises(PayloadTooLargeError, match="limit of 1000 bytes"):
            producer.enqueue(a_session(), "x" * 1000)

    assert world.truth.inbox(session) == 2


def test_a_producer_goes_on_when_another_one_of_the_process_is_closed(stage: World) -> None:
    session = a_session()
    with stage.new_producer() as first, stage.new_producer() as second:
        second.enqueue(session, "1")

        first.close()

        assert second.enqueue(session, "2").rung
    with stage.new_producer() as third:
        assert third.enqueue(a_session(), "3").rung


def test_a_delayed_turn_lets_others_pass_and_is_played_when_due(stage: World) -> None:
    session = a_session()
    due = datetime.now(UTC) + timedelta(seconds=2)
    later = stage.enqueue(session, "later", not_before=due)
    now = stage.enqueue(session, "now")

    until(lambda: stage.truth.ended(session, now), what="the other turn ends")
    status = stage.truth.status(session, later)
    until(lambda: stage.truth.ended(session, later), what="the delayed turn ends")

    assert status == "delayed"
    row = stage.truth.turn(session, later)
    assert timedelta(0) <= row["started_at"] - due < timedelta(seconds=4)
    assert [turn for turn, _, _ in stage.truth.transcript(session)] == [now, now, later, later]
    accepted = stage.truth.events(session, later)[0]
    assert datetime.fromisoformat(accepted["data"]["not_before"]) == due


def test_turns_that_are_due_at_the_same_time_keep_their_order(stage: World) -> None:
    session = a_session()
    soon = datetime.now(UTC) + timedelta(seconds=2)
    due = [soon + timedelta(milliseconds=number * 7 % 3) for number in range(24)]
    turns = [
        stage.enqueue(session, f"say {number}", not_before=time, context=saying("so"))
        for number, time in enumerate(due)
    ]

    until(lambda: len(stage.truth.messages(session)) == 48, what="all turns are played")

    expected = [turn for _, _, turn in sorted(zip(due, range(24), turns, strict=True))]
    assert [row["turn"] for row in stage.truth.turns(session)] == expected

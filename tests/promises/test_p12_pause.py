"""P12, P5: tools run once, whoever dies; a paused turn waits for its answer, whatever restarts."""

from typing import Any

import pytest
from harness.builders import a_session
from harness.fold import fold
from harness.laws import assert_dense
from harness.waiting import until
from harness.world import World

from turnline_schemas.errors import TurnRefusedError

SHORT = {"lease": 1.5, "sweep": 0.3, "assistants": "tooling:helpful"}


def calling(*calls: tuple[str, dict[str, Any]], **script: Any) -> dict[str, Any]:
    """Return a context that makes the offline model call tools, and then answer."""
    wanted = [{"name": name, "arguments": arguments} for name, arguments in calls]
    return {"builtin": {"calls": wanted, "text": "Done.", **script}}


def helped(world: World, session: str, **context: Any) -> str:
    """Enqueue a turn for the assistant with tools."""
    return world.enqueue(session, assistant="helpful", context=context)


def called(world: World, what: str) -> int:
    """How often the model, or a tool, was called."""
    file = world.directory / "called.txt"
    lines = file.read_text().splitlines() if file.exists() else []
    return sum(line.split()[0] == what for line in lines)


def paused(world: World, session: str, turn: str) -> dict[str, Any]:
    """Wait until the turn is paused; return its question."""
    until(lambda: world.truth.status(session, turn) == "paused", seconds=20, what="it is paused")
    until(lambda: "turn.paused" in world.truth.types(session, turn), what="that is published")
    asked: dict[str, Any] = world.truth.turn(session, turn)["pause"]
    return asked


def assert_ended(world: World, session: str, turn: str) -> None:
    until(lambda: world.truth.ended(session, turn), seconds=20, what="the turn ends")
    until(lambda: world.truth.outbox() == 0, what="its end is published")
    assert world.truth.status(session, turn) == "completed"
    assert_dense(world.truth.log(session))
    assert fold(world.truth.log(session)) == world.truth.transcript(session)
    assert not world.truth.rows("SELECT 1 FROM turnline.steps")


def test_a_turn_with_tools_is_played_and_its_log_gives_the_transcript(world: World) -> None:
    session = a_session()
    world.workers(1, **SHORT)

    turn = helped(world, session, **calling(("look", {"what": "a"}), ("look", {"what": "b"})))

    assert_ended(world, session, turn)
    roles = [row["role"] for row in world.truth.messages(session)]
    assert roles == ["user", "assistant", "tool", "tool", "assistant"]


def test_after_a_crash_neither_model_nor_tool_is_called_again(world: World) -> None:
    session = a_session()
    world.workers(1, **SHORT)
    wanted = calling(("look", {"what": "a"}), text=None, deltas=100, delay=0.03)
    turn = helped(world, session, **wanted)
    until(lambda: "text.delta" in world.truth.types(session, turn), what="it answers")

    world.started[0].kill()
    world.workers(1, **SHORT)

    assert_ended(world, session, turn)
    assert world.truth.turn(session, turn)["attempts"] == 2
    assert (called(world, "look"), called(world, "model")) == (1, 3)


def test_an_unsafe_call_whose_result_was_lost_waits_for_a_person(world: World) -> None:
    session = a_session()
    world.workers(1, **SHORT)
    turn = helped(world, session, **calling(("pay", {"amount": 12})))
    until(lambda: called(world, "pay") == 1, what="it pays")

    world.started[0].kill()
    world.workers(1, **SHORT)
    question = paused(world, session, turn)
    world.producer.resume(
        session, turn, question["pause"], {"decision": "done", "result": {"paid": 12}}
    )

    assert_ended(world, session, turn)
    assert question["kind"] == "unknown_outcome"
    assert question["payload"]["arguments"] == {"amount": 12}
    assert (called(world, "pay"), called(world, "model")) == (1, 2)


def test_a_paused_turn_survives_the_restart_of_every_worker_and_holds_the_session(
    world: World,
) -> None:
    session = a_session()
    world.workers(2, **SHORT)
    turn = helped(world, session, **calling(("book", {"hotel": "Ritz"}), ("look", {"what": "a"})))
    question = paused(world, session, turn)
    behind = world.enqueue(session, "Still there?")

    for worker in world.started:
        worker.kill()
    world.workers(2, **SHORT)
    until(lambda: world.truth.status(session, behind) == "waiting", what="the next one waits")
    with pytest.raises(TurnRefusedError, match="invalid_answer"):
        world.producer.resume(session, turn, question["pause"], "perhaps", confirm=True)
    with pytest.raises(TurnRefusedError, match="not_paused"):
        world.producer.resume(session, turn, "other", True, confirm=True)
    world.producer.resume(session, turn, question["pause"], True, confirm=True)
    world.producer.resume(session, turn, question["pause"], True, confirm=True)

    until(lambda: world.truth.ended(session, behind), seconds=20, what="the session goes on")
    assert_ended(world, session, turn)
    assert question["payload"] == {"hotel": "Ritz"}
    assert question["later_turns"] == "wait"
    assert (called(world, "book"), called(world, "look")) == (1, 1)
    with pytest.raises(TurnRefusedError, match="not_paused"):
        world.producer.resume(session, turn, question["pause"], False, confirm=True)
    assert [row["status"] for row in world.truth.turns(session)] == ["completed"] * 2


def test_a_question_that_nobody_answers_in_time_ends(world: World) -> None:
    session = a_session()
    world.workers(1, **SHORT)
    turn = helped(world, session, **calling(("book", {"hotel": "Ritz", "seconds": 1})))
    paused(world, session, turn)

    until(lambda: world.truth.ended(session, turn), seconds=20, what="it goes on by itself")

    assert called(world, "book") == 0


def test_a_paused_turn_can_be_cancelled_and_keeps_what_it_said(world: World) -> None:
    session = a_session()
    world.workers(1, **SHORT)
    turn = helped(world, session, **calling(("book", {"hotel": "Ritz"}), ("look", {"what": "a"})))
    paused(world, session, turn)

    world.producer.cancel(session, turn)
    until(lambda: world.truth.ended(session, turn), seconds=20, what="it ends")
    until(lambda: world.truth.outbox() == 0, what="its end is published")

    assert world.truth.status(session, turn) == "cancelled"
    assert fold(world.truth.log(session)) == world.truth.transcript(session)
    assert called(world, "book") == 0

"""``turnline resume``: answers a question by hand."""

from pathlib import Path

from harness.builders import a_session
from harness.shell import Shell
from harness.waiting import until
from harness.world import World

BOOK = {"calls": [{"name": "book", "arguments": {"hotel": "Ritz"}}], "text": "Done."}


def test_a_paused_turn_is_shown_and_answered_by_hand(world: World, tmp_path: Path) -> None:
    session, turnline = a_session(), Shell(world, tmp_path)
    world.workers(1, assistants="tooling:helpful")
    turn = world.enqueue(session, turn="t-1", assistant="helpful", context={"builtin": BOOK})
    until(lambda: world.truth.status(session, turn) == "paused", what="the turn is paused")

    shown = turnline("show", session)
    wrong = [
        turnline("resume", "t-1", "--value", '"perhaps"'),
        turnline("resume", "t-1", "--value", "perhaps"),
        turnline("resume", "t-9", "--value", "true"),
    ]
    done = turnline("resume", "t-1", "--value", "true")
    until(lambda: world.truth.ended(session, turn), what="the turn ends")
    again = turnline("resume", "t-1", "--value", "true")

    assert f"it is completed in {session}: nothing was changed" in again.stderr
    assert 'waits for approval: {"hotel": "Ritz"}' in shown.stdout
    assert "turnline resume t-1 --value" in shown.stdout
    assert [each.returncode for each in wrong] == [1, 1, 1]
    assert "'perhaps' is not of type 'boolean'" in wrong[0].stderr
    assert "--value is not JSON" in wrong[1].stderr
    assert "no turn 't-9' is paused" in wrong[2].stderr
    assert done.stdout == f"turn t-1 of session {session} goes on\n"
    assert turnline("verify", "--all").returncode == 0


def test_a_turn_that_is_followed_tells_its_question_and_how_to_answer(
    world: World, tmp_path: Path
) -> None:
    session, turnline = a_session(), Shell(world, tmp_path)
    world.workers(1, assistants="tooling:helpful")
    said = ("--assistant", "helpful", "--turn", "t-1", "--follow")

    asked = turnline("send", session, 'book {"hotel": "Ritz"}', *said)
    answered = turnline("resume", "t-1", "--value", "true", "--follow")

    assert asked.returncode == 0, asked.stderr
    assert '[calls book {"hotel": "Ritz"}]' in asked.stdout
    assert 'the turn waits for approval: {"hotel": "Ritz"}' in asked.stdout
    assert "turnline resume t-1 --value JSON --follow" in asked.stdout
    assert answered.returncode == 0, answered.stderr
    assert '[book "booked"]' in answered.stdout
    assert 'book says "booked"' in answered.stdout


def test_a_wrong_context_is_refused_on_the_command_line(world: World, tmp_path: Path) -> None:
    turnline = Shell(world, tmp_path)

    for wrong, why in (("[1]", "not a JSON object"), ("{", "not JSON"), ("7", "not a JSON object")):
        sent = turnline("send", "ses", "Hello!", "--context", wrong)
        assert sent.returncode == 1
        assert f"--context is {why}" in sent.stderr

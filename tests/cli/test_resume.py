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

    assert 'waits for approval: {"hotel": "Ritz"}' in shown.stdout
    assert [each.returncode for each in wrong] == [1, 1, 1]
    assert "'perhaps' is not of type 'boolean'" in wrong[0].stderr
    assert "--value is not JSON" in wrong[1].stderr
    assert "no turn 't-9' is paused" in wrong[2].stderr
    assert done.stdout == f"turn t-1 of session {session} goes on\n"
    assert turnline("verify", "--all").returncode == 0

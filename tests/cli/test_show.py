"""``turnline show``: what a model would see, which policy did it, and all that was ever said."""

import json
from pathlib import Path

import pytest
from harness.builders import a_session
from harness.shell import Shell
from harness.waiting import until
from harness.world import World

LOOK = {"calls": [{"name": "look", "arguments": {"what": "stars"}}], "text": "Many."}


@pytest.fixture
def talked(world: World, tmp_path: Path) -> tuple[str, Shell]:
    """A session of five turns, of which the last one calls a tool, under three policies."""
    session = a_session()
    world.workers(1, assistants="shaping:shaped")
    for number in range(1, 6):
        context = {"builtin": LOOK if number > 3 else {"text": f"Answer [{number}]"}}
        turn = world.enqueue(session, f"Question {number}", assistant="shaped", context=context)
        until(lambda turn=turn: world.truth.ended(session, turn), what="the turn ends")  # type: ignore[misc]
    return session, Shell(world, tmp_path)


def test_the_view_tells_which_policy_did_it(talked: tuple[str, Shell]) -> None:
    session, turnline = talked

    shown = turnline("show", session, "--view").stdout
    view = json.loads(turnline("show", session, "--view", "--json").stdout)

    assert f"{session}: a model would be shown 9 messages of 14 that were said" in shown
    assert "  summarize_when(tokens=1) hid 6 messages between 1 and 6, last after turn" in shown
    assert "   - system    Summary of the conversation so far:" in shown
    assert "made by summarize_when(tokens=1)" in shown
    assert '[look {"dropped": "an earlier result, no longer shown"}]' in shown
    assert "changed by drop_tool_payloads(older_than=1)" in shown
    assert '[calls look {"what": "stars"}]' in shown
    assert view["transcript_messages"] == 14
    assert view["repairs"] == []
    assert [each["index"] for each in view["messages"]] == [None, *range(7, 15)]
    assert view["hidden"]["summarize_when(tokens=1)"]["messages"] == 6


def test_the_transcript_holds_everything(talked: tuple[str, Shell]) -> None:
    session, turnline = talked

    said = turnline("show", session, "--transcript").stdout
    lines = turnline("show", session, "--transcript", "--json").stdout.splitlines()

    assert "   1 user      Question 1" in said
    assert "   2 assistant Answer [1]" in said
    assert '[look {"seen": "stars"}]' in said
    assert [json.loads(line)["index"] for line in lines] == list(range(1, 15))
    assert turnline("verify", "--all").returncode == 0


def test_a_wrong_call_is_explained(talked: tuple[str, Shell]) -> None:
    session, turnline = talked

    both = turnline("show", session, "--view", "--transcript")
    nobody = turnline("show", "nobody", "--view")

    assert both.returncode == 2
    assert "not both" in both.stderr
    assert nobody.returncode == 1
    assert "no session 'nobody'" in nobody.stderr

"""Whatever tools and policies do: one attempt, one outcome, and the worker goes on with others."""

import pytest
from harness.builders import a_session
from harness.waiting import until
from harness.world import World


@pytest.fixture
def played(world: World):  # type: ignore[no-untyped-def]
    """Plays one turn in a worker of its own and returns its row."""
    world.worker(assistants="wicked:wicked,wicked:leaving", lease=2, sweep=0.3)

    def play(text: str, assistant: str) -> dict[str, object]:
        session = a_session()
        turn = world.enqueue(session, text, assistant=assistant)
        until(lambda: world.truth.ended(session, turn), what=f"{text!r} ends")
        return dict(world.truth.turn(session, turn)) | {"said": world.truth.transcript(session)}

    return play


def test_tools_and_policies_that_do_wrong_end_their_turn_once(world: World, played) -> None:  # type: ignore[no-untyped-def]
    wanted = {
        "hang\n" * 40: "tool_timeout",
        "cancel_inside": "CancelledError",
        "break_words": "ValueError: \ufffd and ?",
        "ask_oddly": "which is not in it",
    }
    for text, said in wanted.items():
        row = played(text.strip(), "wicked")
        assert (row["status"], row["attempts"]) == ("completed", 1)
        assert said in str(row["said"])
    left = played("Hello!", "leaving")
    other = played("Hello!", "default")

    assert (left["status"], left["attempts"], left["error"]["code"]) == ("failed", 1, "step_error")
    assert (other["status"], other["attempts"]) == ("completed", 1)
    assert len(world.truth.workers()) == 1

"""Workers that die do not ask a provider, nor a tool, for what they have been told already."""

import pytest
from harness.aimock import Provider
from harness.builders import a_session
from harness.waiting import until
from harness.world import World

FAST = {"lease": 1.5, "sweep": 0.3, "assistants": "provided:concierge"}


def answered(world: World, session: str, turn: str, text: str) -> object:
    """Play one turn and return the content of the last message."""
    world.enqueue(session, text, turn=turn, assistant="concierge")
    until(lambda: world.truth.ended(session, turn), seconds=40, what="the turn ends")
    return world.truth.transcript(session)[-1][2]


@pytest.mark.parametrize(
    ("moment", "about", "asked"),
    [
        # The answer that calls the tools is on record: the model is asked once more, with results.
        ("as-the-tool-begins", "busy staff", 2),
        # The results are on record too: only the call that was under way is made again.
        ("as-the-model-goes-on", "slow staff", 3),
        ("never", "other staff", 2),
    ],
)
def test_a_provider_is_asked_again_only_for_what_was_lost(
    moment: str, about: str, asked: int, world: World, provider: Provider
) -> None:
    session = a_session()
    world.workers(2, **FAST)

    assert answered(world, session, moment, about) == "Clear in both."
    assert len(provider.requests(about)) == asked
    weather = (world.directory / "weather.txt").read_text().split()
    assert sorted(weather[1::2]) == ["Oslo", "Rome"]
    attempts = world.truth.turn(session, moment)["attempts"]
    assert attempts == (1 if moment == "never" else 2)


def test_a_worker_whose_model_has_no_key_does_not_start(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)

    worker = world.worker(ready=False, **FAST)

    assert worker.process.wait(60) != 0
    assert "OPENAI_API_KEY" in worker.said()
    assert "Traceback" not in worker.said()

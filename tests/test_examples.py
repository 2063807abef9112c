"""What the documentation shows runs as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from harness.world import World

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def run(stage: World, *command: str, typed: str = "") -> str:
    """Run a program as a user would, and return what it prints."""
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith("TURNLINE_")
    }
    environment |= {
        "TURNLINE_REDIS_URL": stage.redis_url,
        "TURNLINE_BROKER_URL": stage.broker_url,
    }
    done = subprocess.run(
        command,
        env=environment,
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_runs(example: Path, stage: World) -> None:
    assert run(stage, sys.executable, str(example)).strip()


TALKS = {
    "in_process": ("Hello!", "", "Turn 1. You said: Hello!"),
    "tools": ("How is the weather?", "", "It is clear in both."),
    "approval": ("Book me a room", "false", "As you wish."),
    "retrieval": ("How long do refunds take?", "", "Five days."),
    "policy": ("Thanks!", "", "Turn 1. You said: Thanks!"),
}


def test_every_assistant_of_the_examples_plays_in_a_worker_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.world.INSIDE", ROOT / "examples")
    world.worker(assistants=",".join(f"{name}:assistant" for name in TALKS))

    for name, (text, answer, said) in TALKS.items():
        program = str(ROOT / "examples" / "through_the_queue.py")
        shown = run(world, sys.executable, program, name, text, typed=answer)
        assert said in shown
        assert "[turn.completed]" in shown
    kinds = [event["type"] for event in world.truth.log("retrieval")]
    assert kinds.index("data") < kinds.index("source.added") < kinds.index("text.delta")
    assert world.truth.transcript("approval")[-2][2]["parts"][0]["output"].startswith("not booked")


def test_every_example_is_listed_and_short() -> None:
    listed = (ROOT / "examples" / "README.md").read_text()

    for example in EXAMPLES:
        assert f"({example.name})" in listed
        assert len(example.read_text().splitlines()) <= 40


def test_the_readme_example_runs_and_fits_on_a_screen(stage: World, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    program = tmp_path / "readme.py"
    program.write_text(blocks[0])

    # The bells of the example go nowhere here, so the sweep finds its turn.
    said = run(stage, sys.executable, str(program))

    assert len(blocks[0].splitlines()) <= 32
    assert re.fullmatch(r"turn\.completed at \w+:\d+: Turn 1\. You said: Hello, Turnline!\n", said)

"""What the documentation of stores and streams shows runs as it stands there."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness.readers import running
from harness.world import World

PAGE = Path(__file__).parents[2] / "docs" / "stores.md"
URL = "redis://127.0.0.1:6379/0"


def blocks(place: World) -> list[str]:
    """Return the programs of the page, with the Redis of the tests."""
    return re.findall(
        r"```python\n(.*?)```", PAGE.read_text().replace(URL, place.redis_url), re.DOTALL
    )


def test_the_first_program_follows_what_it_played(place: World) -> None:
    done = subprocess.run(
        [sys.executable, "-c", blocks(place)[0]], capture_output=True, text=True, timeout=60
    )

    assert done.stderr == ""
    assert re.fullmatch(r"(\w+:\d+ \S+\n)+", done.stdout)
    assert done.stdout.splitlines()[-1].endswith(" turn.completed")


def test_the_web_application_streams_a_turn(
    place: World, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {}
    exec(blocks(place)[1], names)

    async def ask(text: str) -> str:
        async with running(names["app"]) as where, httpx.AsyncClient(timeout=30) as client:
            answer = await client.post(f"http://{where}/chat/ses_web", json={"text": text})
        assert answer.headers["content-type"].startswith("text/event-stream")
        return answer.text

    first, second = asyncio.run(ask("Hello!")), asyncio.run(ask("Again?"))
    refused = asyncio.run(ask(" "))

    assert '"type":"turn.completed"' in first
    assert "Turn" in second
    assert first.startswith("id: ")
    assert refused == ""
    assert "message.content is empty" in capsys.readouterr().out


def test_the_suite_is_called_as_shown(place: World) -> None:
    exec(blocks(place)[2], {})

"""A server shaped like OpenAI and Anthropic, which answers as its fixtures say."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from harness.waiting import until

HOME = Path(__file__).parent.parent / "provider"
PROGRAM = HOME / "node_modules" / "@copilotkit" / "aimock" / "dist" / "aimock-cli.js"

OLDEST_NODE = (20, 15)


def missing() -> str | None:
    """Return why the server cannot run here; None if it can."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return "Node.js is not installed: nothing here is shaped like a provider"
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    version = tuple(int(number) for number in re.findall(r"\d+", said)[:2])
    return None if version >= OLDEST_NODE else f"Node.js {said.strip()} is older than 20.15"


def install() -> None:
    """Install the server beside the tests, as its lock file says, unless it is there."""
    lock = (HOME / "package-lock.json").read_text()
    stamp = HOME / "node_modules" / ".installed"
    if not stamp.exists() or stamp.read_text() != lock:
        command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(command, cwd=HOME, check=True, capture_output=True, timeout=300)
        stamp.write_text(lock)


class Provider:
    """The server, once it listens."""

    def __init__(self, url: str) -> None:
        self.url = url

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables that send the SDKs of the providers here."""
        return {
            "OPENAI_BASE_URL": f"{self.url}/v1",
            "OPENAI_API_KEY": "sk-test-0000",
            "ANTHROPIC_BASE_URL": self.url,
            "ANTHROPIC_API_KEY": "sk-test-0000",
            "NO_PROXY": "127.0.0.1",
        }

    def requests(self, about: str) -> list[dict[str, Any]]:
        """Return what was asked so far in conversations that begin with ``about``."""
        with urlopen(f"{self.url}/__aimock/journal?limit=1000") as answer:
            journal = json.load(answer)
        entries = journal["entries"] if isinstance(journal, dict) else journal
        bodies = [entry["body"] for entry in entries]
        return [body for body in bodies if any(about in text for text in _asked(body))]


def _asked(body: Mapping[str, Any]) -> Iterator[str]:
    for message in body.get("messages") or []:
        if message["role"] == "user":
            yield json.dumps(message["content"])


@contextmanager
def run_provider(directory: Path, fixtures: Sequence[Mapping[str, Any]]) -> Iterator[Provider]:
    """Run the server for as long as the block lasts."""
    install()
    (directory / "fixtures.json").write_text(json.dumps({"fixtures": fixtures}))
    settings = {"fixtures": str(directory / "fixtures.json"), "chunkSize": 8}
    config = {"host": "127.0.0.1", "port": 0, "strict": True, "llm": settings}
    (directory / "aimock.json").write_text(json.dumps(config))
    log = directory / "aimock.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["node", str(PROGRAM), "--config", str(directory / "aimock.json")],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ,
        )
    try:
        listening = re.compile(r"listening on (\S+)")
        until(lambda: listening.search(log.read_text()), what="the provider listens", seconds=30)
        found = listening.search(log.read_text())
        assert found is not None
        yield Provider(found[1])
    finally:
        process.terminate()
        process.wait(10)

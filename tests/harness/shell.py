"""The ``turnline`` command, as a user types it."""

import os
import subprocess
import sys
from pathlib import Path

from harness.world import World

TURNLINE = [sys.executable, "-c", "from turnline_workers.cli import main; main()"]


class Shell:
    """Runs ``turnline`` against a world."""

    def __init__(self, world: World, directory: Path) -> None:
        self.world = world
        self.directory = directory
        self.environment = {
            key: value for key, value in os.environ.items() if not key.startswith("TURNLINE_")
        } | {
            "TURNLINE_DATABASE_URL": world.database_url,
            "TURNLINE_REDIS_URL": world.redis_url,
            "TURNLINE_BROKER_URL": world.broker_url,
            "COLUMNS": "200",
        }

    def __call__(
        self, *args: str, stdin: str | None = None, **changed: str
    ) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return subprocess.run(
            [*TURNLINE, *args],
            env=self.environment | changed,
            cwd=self.directory,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(self, *args: str) -> "subprocess.Popen[str]":
        """Start a command that does not end by itself."""
        return subprocess.Popen(
            [*TURNLINE, *args],
            env=self.environment,
            cwd=self.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

"""The command line, against the common workers."""

from pathlib import Path

import pytest
from harness.shell import Shell
from harness.world import World


@pytest.fixture
def turnline(stage: World, tmp_path: Path) -> Shell:
    """The command, in an empty directory."""
    return Shell(stage, tmp_path)

"""What a running stack says about itself: on stdout with ``--json``, and in ``stack.json``.

Importing this needs nothing of ``turnline[embedded]``, so that every command can find a stack.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from turnline_workers.embedded.atomic import write_atomically

DEFAULT_DATA_DIR: Final = Path(".turnline")


@dataclass(frozen=True, slots=True)
class Description:
    """Where a stack's servers are, and who its workers are."""

    database_url: str
    redis_url: str
    broker_url: str
    flower_url: str | None
    """None if the stack runs without Flower."""
    worker_pids: tuple[int, ...]
    data_dir: str

    def to_json(self) -> str:
        """One line of JSON.  Holds passwords."""
        return json.dumps(asdict(self))

    def write(self) -> None:
        """Write ``stack.json``, readable by its owner only."""
        write_atomically(_file(Path(self.data_dir)), self.to_json() + "\n")


def read_description(data_dir: Path = DEFAULT_DATA_DIR) -> Description | None:
    """The stack that runs on ``data_dir``, as it says itself; None if there is none.

    A stack whose supervisor was killed is still described: its processes go on.
    """
    try:
        stored: dict[str, Any] = json.loads(_file(data_dir).read_text("utf-8"))
        return Description(**{**stored, "worker_pids": tuple(stored["worker_pids"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def forget_description(data_dir: Path) -> None:
    """Remove ``stack.json``."""
    _file(data_dir).unlink(missing_ok=True)


def _file(data_dir: Path) -> Path:
    return data_dir / "stack.json"

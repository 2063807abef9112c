"""``turnline demo`` and ``turnline up``, as the README has them typed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

TURNLINE = [sys.executable, "-c", "from turnline_workers.cli import main; main()"]


def environment() -> dict[str, str]:
    """Return ours, without the servers that tests may be told to use."""
    return {key: value for key, value in os.environ.items() if not key.startswith("TURNLINE_")}


def test_the_demo_proves_its_order_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = subprocess.run(
        [*TURNLINE, "demo"],
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "proved: in each of 3 sessions every turn was played once" in done.stdout
    assert "/tasks" in done.stdout
    left = [each for each in psutil.process_iter(["cwd"]) if each.info["cwd"] == str(tmp_path)]
    assert not left


def test_up_says_in_one_line_where_everything_is(tmp_path: Path) -> None:
    stack = subprocess.Popen(
        [*TURNLINE, "up", "--workers", "1", "--json"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert stack.stdout is not None
        described = json.loads(stack.stdout.readline())
        sent = subprocess.run(
            [*TURNLINE, "send", "ses_42", "Hello!", "--follow"],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        second = subprocess.run(
            [*TURNLINE, "up"],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        stack.send_signal(signal.SIGINT)
        code = stack.wait(60)
        stack.stdout.close() if stack.stdout else None

    assert set(described) == {
        "database_url", "redis_url", "broker_url", "flower_url", "worker_pids", "data_dir",
    }  # fmt: skip
    assert len(described["worker_pids"]) == 1
    assert sent.stdout == "Turn 1. You said: Hello!\n"
    assert second.returncode == 1
    assert "in use by process" in second.stderr
    assert code == 0
    assert not psutil.pid_exists(described["worker_pids"][0])

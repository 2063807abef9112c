"""As root, one account gets to its files, and nobody else does."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from turnline_workers.embedded.unprivileged import Account, let_in, server_account

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root lets accounts in")

STRANGER = Account("stranger", 54321, 54321)


def test_one_account_passes_through_closed_directories_and_nobody_else(tmp_path: Path) -> None:
    account = server_account()
    assert account is not None
    closed = tmp_path / "closed"
    data = closed / "deep" / "data"
    data.mkdir(parents=True)
    closed.chmod(0o700)
    for parent in tmp_path.parents:  # pytest's own directories are closed, too
        if parent.is_relative_to("/tmp/pytest-of-root"):
            let_in(parent / "any", STRANGER, lambda _: None)
    let_in(closed, STRANGER, lambda _: None)
    said: list[str] = []

    let_in(data, account, said.append)
    let_in(data, account, said.append)

    assert len([line for line in said if line.endswith(f" {closed}")]) == 1
    assert _passes(data, account)
    assert not _passes(data, STRANGER)
    assert not _lists(closed, account)
    assert not stat.S_IMODE(closed.stat().st_mode) & stat.S_IRWXO


def _passes(directory: Path, account: Account) -> bool:
    return _runs(["/bin/sh", "-c", f"cd {directory}"], account)


def _lists(directory: Path, account: Account) -> bool:
    return _runs(["/bin/ls", str(directory)], account)


def _runs(command: list[str], account: Account) -> bool:
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        cwd="/",
        user=account.uid,
        group=account.gid,
        extra_groups=(),
    )
    return done.returncode == 0

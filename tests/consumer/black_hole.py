"""A TCP proxy that can stop forwarding without closing: what a half-open connection looks like."""

import select
import socket
import threading
from urllib.parse import urlsplit


class BlackHole:
    """Forwards to the server of a Redis URL; ``swallow`` silences the connections made so far."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 6379)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._server.getsockname()[1]}/0"
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._silent: set[socket.socket] = set()
        self._accepted = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._forward)

    def swallow(self) -> None:
        """From now on, nothing that goes over the present connections arrives."""
        self._silent |= set(self._pairs)

    def swallow_first(self) -> None:
        """As ``swallow``, for the oldest connection alone: a follower's subscription."""
        client, server = next(iter(self._pairs.items()))
        self._silent |= {client, server}

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        return self._accepted

    def _forward(self) -> None:
        while not self._stopping.is_set():
            live = [end for end in self._pairs if end not in self._silent]
            for end in select.select([self._server, *live], [], [], 0.01)[0]:
                if end is self._server:
                    self._accept()
                elif end not in self._silent:
                    self._pass_on(end)

    def _accept(self) -> None:
        client, _ = self._server.accept()
        self._accepted += 1
        server = socket.create_connection(self._target)
        self._pairs |= {client: server, server: client}

    def _pass_on(self, end: socket.socket) -> None:
        other = self._pairs[end]
        if data := end.recv(65536):
            other.sendall(data)
            return
        for each in (end, other):
            del self._pairs[each]
            each.close()

    def __enter__(self) -> "BlackHole":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        for each in (self._server, *self._pairs):
            each.close()

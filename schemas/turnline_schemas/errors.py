"""Errors, sorted by what the caller should do.

TurnlineError
├── InvalidInputError          change the call; the same one will fail again
│   ├── InvalidMessageError
│   ├── InvalidCursorError
│   └── PayloadTooLargeError
├── ConflictError              somebody said something else before
│   ├── TurnConflictError
│   └── TurnRefusedError
├── TryLaterError              the same call may succeed later
│   ├── InboxFullError
│   ├── ConfirmTimeoutError
│   └── ServerUnavailableError
│       ├── RedisUnavailableError
│       ├── PostgresUnavailableError
│       └── BrokerUnavailableError
└── ConfigurationError         change the set-up; the message says how
    └── UnsafeRedisError
"""

import re
from urllib.parse import urlsplit


class TurnlineError(Exception):
    """Base of every error that Turnline raises on purpose."""

    code: str = "error"
    """Stable slug for programs; the text is for people."""


class InvalidInputError(TurnlineError):
    """The call itself is wrong; the same one will fail again."""

    code = "invalid_input"


class InvalidMessageError(InvalidInputError):
    """A message does not follow the wire contract."""

    code = "invalid_message"

    def __init__(self, problem: str, *, code: str = "invalid_message") -> None:
        super().__init__(problem)
        self.code = code


class InvalidCursorError(InvalidInputError):
    """A cursor is not of the form ``<epoch>:<seq>``."""

    code = "invalid_cursor"

    def __init__(self, cursor: str) -> None:
        super().__init__(f"{cursor!r} is no cursor; expected <epoch>:<seq>, such as 'kqWmZtRb:17'")
        self.cursor = cursor


class PayloadTooLargeError(InvalidInputError):
    """An encoded message is longer than its limit."""

    code = "payload_too_large"

    def __init__(self, *, size: int, limit: int) -> None:
        super().__init__(f"message of {size} bytes is over the limit of {limit} bytes")
        self.size = size
        self.limit = limit


class ConflictError(TurnlineError):
    """The call contradicts something that is already stored."""

    code = "conflict"


class TurnConflictError(ConflictError):
    """The turn id is in use with another payload.  Use a new id, or send the same payload."""

    code = "turn_conflict"

    def __init__(self, session: str, turn: str, position: str) -> None:
        super().__init__(
            f"turn {turn!r} of session {session!r} was enqueued before with another payload,"
            f" at position {position}"
        )
        self.session = session
        self.turn = turn
        self.position = position


class TurnRefusedError(ConflictError):
    """Intake refused the turn; ``reason`` is a stable slug.  It will never be played.

    After ``session_paused`` nothing of it is kept: enqueue it again, with the same id, once the
    session goes on.
    """

    code = "turn_refused"

    def __init__(self, session: str, turn: str, reason: str) -> None:
        super().__init__(f"turn {turn!r} of session {session!r} was refused: {reason}")
        self.session = session
        self.turn = turn
        self.reason = reason


class TryLaterError(TurnlineError):
    """The same call may succeed later.  Repeating it with the same turn id is safe."""

    code = "try_later"


class InboxFullError(TryLaterError):
    """The session's inbox is at its limit: no worker takes it, or turns come too fast."""

    code = "inbox_full"

    def __init__(self, session: str, limit: int) -> None:
        super().__init__(f"inbox of session {session!r} holds {limit} turns, its limit")
        self.session = session
        self.limit = limit


class ConfirmTimeoutError(TryLaterError):
    """No worker confirmed the turn in time.  It is in the inbox and may still be played."""

    code = "confirm_timeout"

    def __init__(self, session: str, turn: str, seconds: float) -> None:
        super().__init__(
            f"turn {turn!r} of session {session!r} is in the inbox, but no worker took it within"
            f" {seconds:g} s; is a worker running?"
        )
        self.session = session
        self.turn = turn


class ServerUnavailableError(TryLaterError):
    """A server does not answer.  The text says which, where, and what to check."""

    code = "server_unavailable"
    server = "server"
    setting = ""

    def __init__(self, url: str, reason: object, *, answers: bool = False) -> None:
        """Say what to do.

        Args:
            answers: it is there, and refused; ``reason`` is what it said.
        """
        self.url = hide_password(url)
        self.reason = str(reason)
        state = "cannot do it" if answers else "is not available"
        way_out = "mend it" if answers else "start it"
        super().__init__(
            f"{self.server} at {self.url} {state} ({self.reason}); {way_out}, or set {self.setting}"
        )


class RedisUnavailableError(ServerUnavailableError):
    """Redis, which holds inboxes and event logs, does not answer."""

    code = "redis_unavailable"
    server = "Redis"
    setting = "TURNLINE_REDIS_URL"


class PostgresUnavailableError(ServerUnavailableError):
    """Postgres does not answer."""

    code = "postgres_unavailable"
    server = "Postgres"
    setting = "TURNLINE_DATABASE_URL"


class BrokerUnavailableError(ServerUnavailableError):
    """The broker that carries bells does not answer.  Bells are hints: nothing is lost."""

    code = "broker_unavailable"
    server = "Broker"
    setting = "TURNLINE_BROKER_URL"


class ConfigurationError(TurnlineError):
    """The set-up is wrong; the text says what to change."""

    code = "configuration"


class UnsafeRedisError(ConfigurationError):
    """Redis may throw away turns when its memory is full."""

    code = "unsafe_redis"

    def __init__(self, url: str, policy: str) -> None:
        super().__init__(
            f"Redis at {hide_password(url)} has maxmemory-policy {policy!r} and may evict turns;"
            " set it to 'noeviction' (redis-cli config set maxmemory-policy noeviction)"
        )
        self.policy = policy


def hide_password(url: str) -> str:
    """Return ``url`` with its password, if any, replaced by ``***``."""
    try:
        parts = urlsplit(url)
        password = parts.password
    except ValueError:
        return "<unreadable url>"
    query = re.sub(r"((?:^|&)password=)[^&]*", r"\1***", parts.query)
    netloc = parts.netloc
    if password:
        userinfo, _, host = netloc.rpartition("@")
        netloc = f"{userinfo.partition(':')[0]}:***@{host}"
    # Not urlunsplit(), which would write unix:///x another way.
    hidden = url.replace(parts.netloc, netloc, 1) if parts.netloc else url
    return hidden.replace(parts.query, query) if parts.query else hidden

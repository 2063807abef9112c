"""Identifiers: what a session, a turn and an event inside a turn are called."""

import os
import time
import uuid
from typing import Annotated

from pydantic import StringConstraints

ID_PATTERN = r"^[A-Za-z0-9_.:@-]{1,128}$"

SessionId = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
"""Opaque key of a conversation, 1-128 characters of ``[A-Za-z0-9_.:@-]``."""

TurnId = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
"""A turn's id and idempotency key.  A producer that retries reuses it."""


def new_turn_id() -> str:
    """Return a fresh id that sorts by time (UUID version 7, RFC 9562 section 5.7), as hex."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return uuid.UUID(int=value).hex

"""Identifiers: what a session, a turn and an event inside a turn are called."""

from typing import Annotated

from pydantic import StringConstraints

ID_PATTERN = r"^[A-Za-z0-9_.:@-]{1,128}$"

SessionId = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
"""Opaque key of a conversation, 1-128 characters of ``[A-Za-z0-9_.:@-]``."""

TurnId = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
"""A turn's id and idempotency key.  A producer that retries reuses it."""

"""Identifiers: what a session, a turn and an event inside a turn are called."""

import re
from typing import Annotated

from pydantic import StringConstraints

from turnline_schemas.errors import InvalidMessageError

ID_PATTERN = r"^[A-Za-z0-9_.:@-]{1,128}$"

SessionId = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
"""Opaque key of a conversation, 1-128 characters of ``[A-Za-z0-9_.:@-]``."""

TurnId = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
"""A turn's id and idempotency key.  A producer that retries reuses it."""


def check_session(session: object) -> None:
    """Return if ``session`` can be the id of one.

    Raises:
        InvalidMessageError: it cannot.
    """
    if not isinstance(session, str) or not re.fullmatch(ID_PATTERN, session):
        raise InvalidMessageError(
            f"{session!r} is no session id; expected 1-128 of [A-Za-z0-9_.:@-]",
            code="invalid_session",
        )

"""A session's inbox: read what producers appended, and take off what Postgres has."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis.asyncio as aioredis
import structlog
from redis.exceptions import ResponseError

from turnline_schemas.errors import InvalidInputError, InvalidMessageError
from turnline_schemas.ids import ID_PATTERN
from turnline_schemas.message import parse_inbox_message
from turnline_schemas.names import (
    DEAD_LETTERS,
    events_channel,
    inbox_key,
    log_key,
    meta_key,
    rung_key,
    turn_key,
)
from turnline_workers.bus.log import LogLimits, new_epoch
from turnline_workers.bus.scripts import ACCEPT
from turnline_workers.flow import Arrival

PAGE: Final = 100
"""Entries read at a time: 25 MiB if each has the default limit."""

EMPTY_INBOX_TTL: Final = 30 * 86_400
DEAD_LETTERS_KEPT: Final = 100_000
RAW_KEPT: Final = 64 * 1024
"""Bytes of an unreadable entry that its dead letter keeps."""

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One entry that cannot be accepted, and why."""

    position: str
    raw: bytes
    reason: str
    """Stable slug."""
    detail: str
    turn: str | None = None


@dataclass(frozen=True, slots=True)
class InboxPage:
    """What stands in an inbox, oldest first."""

    arrivals: tuple[Arrival, ...] = ()
    letters: tuple[DeadLetter, ...] = ()


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one entry."""

    position: str
    key: str | None = None
    """What tells who enqueued it what became of it (``turn_key`` and the like)."""
    state: str = ""
    """``accepted``, ``refused:<reason>``, or empty for entries without a key."""
    event: str = ""
    """What to announce, without its number; empty for nothing."""


class Inbox:
    """The inboxes of all sessions.  Holds no state between calls."""

    def __init__(self, client: "aioredis.Redis", limits: LogLimits, *, max_bytes: int) -> None:
        self._redis = client
        self._limits = limits
        self._max_bytes = max_bytes
        self._accept = client.register_script(ACCEPT)

    async def read(self, session: str) -> InboxPage:
        """Return the oldest entries, parsed; those that cannot be accepted as dead letters.

        Everything in the stream is read, also what the cursor covers: after Redis lost data
        new entries may have old ids, and turn ids decide what is new.
        """
        try:
            rows: Any = await self._redis.xrange(inbox_key(session), count=PAGE)
        except ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
            await self._set_aside(session)
            return InboxPage()
        read = [self._parse(session, position.decode(), fields) for position, fields in rows]
        return InboxPage(
            arrivals=tuple(entry for entry in read if isinstance(entry, Arrival)),
            letters=tuple(entry for entry in read if isinstance(entry, DeadLetter)),
        )

    async def bury(self, session: str, letters: Sequence[DeadLetter]) -> None:
        """Put ``letters`` where an operator finds them."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for letter in letters:
                fields: dict[Any, Any] = {
                    "session": session,
                    "position": letter.position,
                    "reason": letter.reason,
                    "detail": letter.detail[:2000],
                    "d": letter.raw[:RAW_KEPT],
                }
                pipe.xadd(DEAD_LETTERS, fields, maxlen=DEAD_LETTERS_KEPT, approximate=True)
            await pipe.execute()
        for letter in letters:
            logger.warning(
                "inbox.dead_letter", session=session, position=letter.position, reason=letter.reason
            )

    async def take(self, session: str, taken: Sequence[Taken], *, floor: int, messages: int) -> int:
        """Remove entries that Postgres has, announce them, and return how many came meanwhile.

        Args:
            floor: last seq that Postgres knows, used if a new epoch begins here.
            messages: length of the transcript as Postgres knows it, used likewise.
        """
        limits = self._limits
        keys = [inbox_key(session), rung_key(session), meta_key(session), log_key(session)]
        keys += [entry.key or turn_key(session, "") for entry in taken]
        args: list[Any] = [events_channel(session), session, floor, new_epoch(), messages]
        args += [limits.length, limits.log_ttl, limits.meta_ttl, EMPTY_INBOX_TTL]
        for entry in taken:
            args += [entry.position, entry.state, entry.event]
        _, left = await self._accept(keys=keys, args=args)
        return int(left)

    def _parse(
        self, session: str, position: str, fields: dict[bytes, bytes]
    ) -> Arrival | DeadLetter:
        raw = fields.get(b"d")
        if raw is None:
            shown = json.dumps(
                {key.decode("utf-8", "replace"): len(v) for key, v in fields.items()}
            )
            return DeadLetter(position, shown.encode(), "no_message", "entry has no field 'd'")
        try:
            message = parse_inbox_message(raw, limit=self._max_bytes)
            if message.session != session:
                raise InvalidMessageError(
                    f"message for session {message.session!r} in the inbox of {session!r}",
                    code="wrong_session",
                )
        except InvalidInputError as error:
            return DeadLetter(position, raw, error.code, str(error), _turn_in(raw))
        return Arrival(position, message)

    async def _set_aside(self, session: str) -> None:
        """Move away a key that is no stream, so that the session can go on with a new inbox."""
        await self._redis.rename(inbox_key(session), f"{inbox_key(session)}:not-a-stream")
        await self._redis.expire(f"{inbox_key(session)}:not-a-stream", 7 * 86_400)
        letter = DeadLetter(
            "", b"", "inbox_wrong_type", "the inbox key was no stream; it was renamed"
        )
        await self.bury(session, [letter])


def _turn_in(raw: bytes) -> str | None:
    """Return the id of a turn that cannot be accepted, if it has one: who sent it may ask."""
    try:
        message = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    turn = message.get("turn") if isinstance(message, dict) else None
    return turn if isinstance(turn, str) and re.fullmatch(ID_PATTERN, turn) else None

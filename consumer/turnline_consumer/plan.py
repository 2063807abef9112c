"""What a caller asked to follow, checked before any I/O."""

import time
from dataclasses import dataclass
from typing import Final

from turnline_consumer.course import Course
from turnline_consumer.link import check_url
from turnline_consumer.reader import Reader
from turnline_schemas.errors import InvalidInputError
from turnline_schemas.ids import check_session

DEFAULT_URL: Final = "redis://127.0.0.1:6379/0"
"""A Redis on this machine."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The arguments of ``follow``; a wrong one is refused."""

    session: str
    after: str | None
    redis_url: str
    has_source: bool
    check_every: float
    give_up_after: float | None

    def __post_init__(self) -> None:
        check_session(self.session)
        if not self.check_every > 0:
            raise InvalidInputError(f"check_every must be over 0 s, not {self.check_every!r}")
        if self.give_up_after is not None and not self.give_up_after > 0:
            raise InvalidInputError(f"give_up_after must be over 0 s, not {self.give_up_after!r}")
        check_url(self.redis_url)
        self.course()

    def course(self) -> Course:
        """Return a course at its start.

        Raises:
            InvalidCursorError: ``after`` is no cursor.
        """
        reader = Reader(self.session, self.after, has_source=self.has_source, clock=_now_ms)
        return Course(
            reader,
            url=self.redis_url,
            check_every=self.check_every,
            give_up_after=self.give_up_after,
        )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

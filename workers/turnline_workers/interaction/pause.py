"""Waiting for somebody: a step or tool asks, the turn stops, and goes on there once answered."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from pydantic import JsonValue

from turnline_schemas.errors import ConfigurationError
from turnline_schemas.event_data import TurnPaused
from turnline_schemas.storable import check_storable
from turnline_workers.errors import PauseExpiredError
from turnline_workers.interaction.answers import check_schema

LONGEST = timedelta(days=3650)
"""That a question may wait, if it expires at all."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a paused turn waits for."""

    pause: str
    """Token that the answer names; the same in every attempt."""
    kind: str
    payload: JsonValue = None
    answer_schema: Mapping[str, Any] | None = None
    expires_in: timedelta | None = None
    later_turns: Literal["wait", "refuse"] = "wait"
    """What becomes of turns that arrive meanwhile; the assistant says."""

    def event(self) -> TurnPaused:
        """Return the event that tells of it."""
        return TurnPaused(
            pause=self.pause,
            kind=self.kind,
            payload=self.payload,
            answer_schema=dict(self.answer_schema or {}),
            expires_in=None if self.expires_in is None else self.expires_in.total_seconds(),
            later_turns=self.later_turns,
        )


class Pause(BaseException):
    """Raised where an answer is missing.  No ``Exception``: steps and tools must not catch it."""

    def __init__(self, question: Question) -> None:
        super().__init__(question.kind)
        self.question = question


class Desk:
    """Where one run of a step, or one call of a tool, asks.  Counts its questions."""

    def __init__(
        self,
        id_: str = "",
        answers: Mapping[str, Any] | None = None,
        expired: Collection[str] = (),
    ) -> None:
        self.id = id_
        self._answers = answers or {}
        self._expired = expired
        self._asked = 0

    def ask(
        self,
        kind: str,
        payload: JsonValue = None,
        *,
        schema: Mapping[str, Any] | None = None,
        expires_in: timedelta | None = None,
    ) -> Any:
        """Return the answer; if there is none yet, stop the turn until there is.

        The step or tool runs again from its start then, so ask before you act.

        Args:
            kind: what is asked for, such as ``approval``.
            payload: what whoever answers has to know; shown to readers.
            schema: JSON schema of the answer; others are refused.
            expires_in: how long to wait.  Then ``PauseExpiredError`` is raised here, which ends
                the turn as failed unless it is caught.

        Raises:
            ConfigurationError: the question itself is wrong.
            PauseExpiredError: nobody answered in time.
        """
        _check(kind, payload, schema, expires_in)
        pause = f"{self.id}.{self._asked}"
        self._asked += 1
        if pause in self._answers:
            return self._answers[pause]
        if pause in self._expired:
            raise PauseExpiredError(kind)
        raise Pause(Question(pause, kind, payload, schema, expires_in))


def _check(
    kind: object, payload: object, schema: Mapping[str, Any] | None, expires_in: object
) -> None:
    if not isinstance(kind, str) or not kind:
        raise ConfigurationError(f"ask(): the kind is {kind!r}, not a word such as 'approval'")
    if expires_in is not None and not isinstance(expires_in, timedelta):
        raise ConfigurationError("ask(): expires_in is no timedelta, such as timedelta(hours=1)")
    if expires_in is not None and not timedelta(0) < expires_in <= LONGEST:
        raise ConfigurationError(f"ask(): expires_in is not between 0 and {LONGEST.days} days")
    try:
        check_storable([kind, payload, schema])
        json.dumps([payload, schema])
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"ask(): the question cannot be stored: {error}") from error
    if schema:
        check_schema(schema)

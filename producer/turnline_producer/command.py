"""Enqueueing without I/O: from a call to the arguments of one script, and from its answer back."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Any, Final

from pydantic import JsonValue, TypeAdapter

from turnline_producer.turn_ids import new_turn_id
from turnline_schemas.errors import (
    InboxFullError,
    InvalidMessageError,
    PayloadTooLargeError,
    TurnConflictError,
    TurnRefusedError,
)
from turnline_schemas.message import (
    MAX_MESSAGE_BYTES,
    AnyMessage,
    CancelMessage,
    Message,
    ResumeMessage,
    TurnMessage,
    validated,
)
from turnline_schemas.names import cancel_key, inbox_key, resume_key, rung_key, turn_key
from turnline_schemas.receipt import Receipt

ENQUEUE_LUA: Final = (files("turnline_producer") / "lua" / "enqueue.lua").read_text(
    encoding="utf-8"
)

ACCEPTED: Final = "accepted"
REFUSED: Final = "refused:"

MessageLike = str | Mapping[str, Any] | Message
"""A user's message: text, or what ``Message`` is made of."""

_TURN: Final = TypeAdapter(TurnMessage)
_CANCEL: Final = TypeAdapter(CancelMessage)
_RESUME: Final = TypeAdapter(ResumeMessage)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a producer refuses and remembers."""

    max_bytes: int = MAX_MESSAGE_BYTES
    inbox: int = 10_000
    """Turns that may wait in one session's inbox before workers have taken them."""
    dedupe_ttl: int = 86_400
    """Seconds that Redis remembers a turn id; Postgres remembers it after that."""


@dataclass(frozen=True, slots=True)
class Command:
    """One call of the enqueue script."""

    message: AnyMessage
    keys: list[str]
    args: list[Any]
    limit: int

    @property
    def state_key(self) -> str:
        """The key that tells what became of the message."""
        return self.keys[1]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the script said."""

    status: str
    position: str
    state: str
    ring: bool


def turn_command(
    session: str,
    message: MessageLike,
    *,
    turn: str | None,
    user: str | None,
    assistant: str,
    context: Mapping[str, JsonValue] | None,
    priority: int,
    not_before: datetime | None,
    limits: Limits,
) -> Command:
    """Return the call that enqueues one turn.

    Raises:
        InvalidMessageError: a field is wrong; the text names it.
        PayloadTooLargeError: the encoded message is over the limit.
    """
    payload = {
        "session": session,
        "turn": turn if turn is not None else new_turn_id(),
        "user": user,
        "assistant": assistant,
        "message": _as_message(message),
        "context": {} if context is None else context,
        "priority": priority,
        "not_before": not_before,
    }
    valid = validated(_TURN, payload)
    return _command(valid, turn_key(valid.session, valid.turn), limits)


def cancel_command(session: str, turn: str, *, reason: str, limits: Limits) -> Command:
    """Return the call that asks for the end of one turn."""
    valid = validated(_CANCEL, {"session": session, "turn": turn, "reason": reason})
    return _command(valid, cancel_key(valid.session, valid.turn, uuid.uuid4().hex), limits)


def resume_command(
    session: str, turn: str, pause: str, value: JsonValue, *, limits: Limits
) -> Command:
    """Return the call that answers what a turn is paused for.

    Raises:
        InvalidMessageError: a field is wrong; the text names it.
        PayloadTooLargeError: the encoded message is over the limit.
    """
    payload = {"session": session, "turn": turn, "pause": pause, "value": value}
    valid = validated(_RESUME, payload)
    # The same answer again is the same message; another answer is another one.
    return _command(valid, resume_key(valid.session, valid.turn, valid.fingerprint()), limits)


def _as_message(message: MessageLike) -> object:
    if isinstance(message, str):
        return {"role": "user", "content": message}
    return message


def _command(message: AnyMessage, key: str, limits: Limits) -> Command:
    try:
        encoded = message.encode()
        fingerprint = message.fingerprint()
    except ValueError as error:
        # Lone surrogates and the like pass as str and fail as UTF-8.
        problem = f"message cannot be encoded as UTF-8: {error}"
        raise InvalidMessageError(problem, code="invalid_fields") from error
    if len(encoded) > limits.max_bytes:
        raise PayloadTooLargeError(size=len(encoded), limit=limits.max_bytes)
    keys = [inbox_key(message.session), key, rung_key(message.session)]
    args = [message.session, encoded, fingerprint, limits.inbox, limits.dedupe_ttl]
    return Command(message, keys, args, limits.inbox)


def read_answer(command: Command, raw: Sequence[Any]) -> Answer:
    """Return what the script said.

    Raises:
        TurnConflictError: the turn id is in use with another payload.
        InboxFullError: nothing was written; try later.
        TurnRefusedError: the turn was enqueued before, and intake refused it.
    """
    status, position, state = (_text(part) for part in raw[:3])
    message = command.message
    if status == "conflict":
        raise TurnConflictError(message.session, message.turn, position)
    if status == "full":
        raise InboxFullError(message.session, command.limit)
    raise_if_refused(message, state)
    return Answer(status, position, state, ring=bool(raw[3]))


def raise_if_refused(message: AnyMessage, state: str) -> None:
    """Return unless ``state`` says that intake refused the turn."""
    if state.startswith(REFUSED):
        raise TurnRefusedError(message.session, message.turn, state.removeprefix(REFUSED))


def state_of(raw: Any) -> str | None:
    """Return the state that a turn key holds; None if the key is gone."""
    return None if raw is None else _text(raw).split("|", 2)[2]


def receipt(
    command: Command, answer: Answer, *, ring_error: str | None, confirmed: bool
) -> Receipt:
    """Return the receipt of what was done."""
    return Receipt(
        session=command.message.session,
        turn=command.message.turn,
        position=answer.position,
        status="duplicate" if answer.status == "duplicate" else "enqueued",
        rung=ring_error is None,
        ring_error=ring_error,
        confirmed=confirmed or answer.state == ACCEPTED,
    )


def _text(part: Any) -> str:
    return part.decode() if isinstance(part, bytes) else str(part)

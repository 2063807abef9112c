"""One entry of a conversation, and the messages that travel through a session's inbox."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from turnline_schemas.errors import InvalidMessageError, PayloadTooLargeError
from turnline_schemas.ids import SessionId, TurnId
from turnline_schemas.storable import check_storable

MAX_MESSAGE_BYTES: Final = 256 * 1024
"""Default limit of one encoded inbox message, in bytes."""

PROBLEMS_TOLD: Final = 5
PATH_TOLD: Final = 6
"""How much of what is wrong an error tells: enough to mend it, and no page of it."""

Role = Literal["system", "user", "assistant", "tool"]


class WireModel(BaseModel):
    """Base of everything on the wire: immutable, and tolerant of fields added later."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Part(BaseModel):
    """One part of a message that holds more than text.  Fields beyond ``type`` depend on it."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: Literal["text", "image", "file", "reasoning", "tool-call", "tool-result", "data"]


class Content(WireModel):
    """Content that is more than text.  Plain text stays a string."""

    text: str = ""
    parts: tuple[Part, ...]
    raw: JsonValue = None


class Message(WireModel):
    """One entry of a conversation."""

    role: Role
    content: str | Content

    @property
    def text(self) -> str:
        """The message as plain text; empty if it holds none."""
        return self.content if isinstance(self.content, str) else self.content.text


class InboxMessage(WireModel):
    """What all messages of an inbox share."""

    v: Literal[1] = 1
    session: SessionId
    turn: TurnId
    user: Annotated[str, StringConstraints(min_length=1, max_length=256)] | None = None
    """Owner of the session, if it has one."""
    sent_at: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
    """Producer's clock; kept for tracing, never used to order turns."""

    def encode(self) -> bytes:
        """Return the JSON that goes into the inbox."""
        return self.model_dump_json().encode()

    def fingerprint(self) -> str:
        """Return a digest of all that must be equal when the same id is enqueued again."""
        payload = self.model_dump(mode="json", exclude={"sent_at"})
        canonical = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:32]


class TurnMessage(InboxMessage):
    """One user message for one session, and how to play it."""

    kind: Literal["turn"] = "turn"
    assistant: Annotated[str, StringConstraints(min_length=1, max_length=128)] = "default"
    """Name of the assistant that answers; a worker that does not know it fails the turn."""
    message: Message
    context: dict[str, JsonValue] = Field(default_factory=dict)
    """Free data for the steps of the pipeline; the model does not see it."""
    priority: Annotated[int, Field(ge=-100, le=100)] = 0
    """Between sessions, higher first.  Inside a session position alone decides."""
    not_before: AwareDatetime | None = None
    """The turn takes its place in the session when this time has come, not before."""

    @model_validator(mode="after")
    def _check(self) -> "TurnMessage":
        if self.message.role != "user":
            raise ValueError(f"message.role must be 'user', not {self.message.role!r}")
        if isinstance(self.message.content, str) and not self.message.content.strip():
            raise ValueError("message.content is empty")
        if not isinstance(self.message.content, str) and not self.message.content.parts:
            raise ValueError("message.content has no parts")
        check_storable([self.user, self.assistant, self.message, self.context])
        return self


class CancelMessage(InboxMessage):
    """Asks that ``turn`` end as soon as it can, wherever it is."""

    kind: Literal["cancel"] = "cancel"
    reason: Annotated[str, StringConstraints(max_length=512)] = "cancelled"


class ResumeMessage(InboxMessage):
    """Answers what ``turn`` is paused for, so that it goes on."""

    kind: Literal["resume"] = "resume"
    pause: Annotated[str, StringConstraints(min_length=1, max_length=512)]
    """Token of the question, from ``turn.paused``."""
    value: JsonValue = None
    """The answer; must satisfy the question's ``answer_schema``."""

    @model_validator(mode="after")
    def _check(self) -> "ResumeMessage":
        check_storable([self.pause, self.value])
        return self


_KINDS: Final[dict[str, TypeAdapter[Any]]] = {
    "turn": TypeAdapter(TurnMessage),
    "cancel": TypeAdapter(CancelMessage),
    "resume": TypeAdapter(ResumeMessage),
}

AnyMessage = TurnMessage | CancelMessage | ResumeMessage


def parse_inbox_message(raw: bytes, *, limit: int = MAX_MESSAGE_BYTES) -> AnyMessage:
    """Decode one inbox entry.

    Raises:
        PayloadTooLargeError: ``raw`` is longer than ``limit`` bytes.
        InvalidMessageError: not JSON, not an object, of an unknown kind, or with wrong fields.
    """
    if len(raw) > limit:
        raise PayloadTooLargeError(size=len(raw), limit=limit)
    try:
        payload = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InvalidMessageError(f"not JSON: {error}", code="not_json") from error
    if not isinstance(payload, dict):
        raise InvalidMessageError("not a JSON object", code="not_an_object")
    adapter = _KINDS.get(kind) if isinstance(kind := payload.get("kind"), str) else None
    if adapter is None:
        known = ", ".join(_KINDS)
        raise InvalidMessageError(f"unknown kind {kind!r}; known: {known}", code="unknown_kind")
    return validated(adapter, payload)  # type: ignore[no-any-return]


def validated(adapter: TypeAdapter[Any], payload: object) -> Any:
    """Validate ``payload``, turning pydantic's report into one line per wrong field.

    Raises:
        InvalidMessageError: with the path of each wrong field.
    """
    try:
        return adapter.validate_python(payload)
    except ValidationError as error:
        raise InvalidMessageError(describe(error), code="invalid_fields") from error
    except RecursionError as error:
        raise InvalidMessageError("nested too deeply", code="invalid_fields") from error


def describe(error: ValidationError) -> str:
    """Return ``error`` as one line: ``field: what is wrong; field: ...`` without input values."""
    problems = error.errors(include_input=False, include_url=False)
    lines = [f"{_path(item['loc'])}: {item['msg']}" for item in problems[:PROBLEMS_TOLD]]
    return "; ".join(lines)


def _path(location: tuple[int | str, ...]) -> str:
    path = ".".join(str(part) for part in location[:PATH_TOLD]) or "message"
    return path if len(location) <= PATH_TOLD else f"{path}..."

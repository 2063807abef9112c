"""From the view to what pydantic-ai sends.  Pure; needs pydantic-ai."""

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_ai import messages as provider

from turnline_schemas.message import Message, Part
from turnline_workers.errors import ModelError
from turnline_workers.interaction.model import ModelCall
from turnline_workers.interaction.parts import call_of, fields_of, parts_of


def provider_messages(call: ModelCall) -> list[provider.ModelMessage]:
    """Return the conversation, with the instructions, as pydantic-ai sends it.

    What is not said by the model itself is one request between two of its answers, with the
    results of tools first, as providers want it.
    """
    sent: list[provider.ModelMessage] = []
    said: list[Message] = []
    for message in call.messages:
        if message.role != "assistant":
            said.append(message)
            continue
        if said:
            sent.append(_request(said))
            said = []
        sent.append(provider.ModelResponse(parts=list(_answered(message))))
    if said:
        sent.append(_request(said))
    _give_back_thinking(sent, call)
    if call.instructions and isinstance(sent[-1], provider.ModelRequest):
        sent[-1].instructions = call.instructions
    return sent


def call_id(call: str) -> str:
    """Return an id that every provider takes for one of our calls; the same for the same call."""
    return f"call_{hashlib.sha256(call.encode()).hexdigest()[:24]}"


def _request(said: Sequence[Message]) -> provider.ModelRequest:
    results = [part for message in said for part in _results(message)]
    others = [part for message in said for part in _told(message)]
    return provider.ModelRequest(parts=[*results, *others])


def _results(message: Message) -> Iterator[provider.ToolReturnPart]:
    for part in parts_of(message):
        if part.type == "tool-result":
            fields = fields_of(part)
            yield provider.ToolReturnPart(
                tool_name=str(fields.get("name")),
                content=fields.get("output"),
                tool_call_id=call_id(call_of(part)),
                outcome="failed" if fields.get("is_error") else "success",
            )


def _told(message: Message) -> Iterator[provider.ModelRequestPart]:
    if message.role == "system":
        yield provider.SystemPromptPart(message.text)
    elif message.role == "user":
        yield provider.UserPromptPart(_content(message))
    elif message.text:
        # Found by a step, not asked for by the model: no call waits for it.
        yield provider.UserPromptPart(f"For the answer, this was found:\n\n{message.text}")


def _content(message: Message) -> str | list[provider.UserContent]:
    parts = parts_of(message)
    if all(part.type == "text" for part in parts):
        return message.text or "".join(str(fields_of(part).get("text", "")) for part in parts)
    return [_shown(part) for part in parts]


def _shown(part: Part) -> provider.UserContent:
    """Return a part as providers take it.

    Raises:
        ModelError: it has not the fields of its type.
    """
    fields = fields_of(part)
    if part.type in {"text", "reasoning"}:
        return str(fields.get("text", ""))
    if part.type not in {"image", "file"}:
        return json.dumps(part.model_dump(mode="json"), ensure_ascii=False)
    try:
        return _attached(part.type, fields)
    except (KeyError, TypeError, ValidationError, binascii.Error) as error:
        raise ModelError(
            f"the message has a part {part.type!r} without 'url', or 'data' (base64) and"
            f" 'media_type': {error}"
        ) from error


def _attached(kind: str, fields: dict[str, Any]) -> provider.UserContent:
    if "data" in fields:
        data = base64.b64decode(fields["data"], validate=True)
        return provider.BinaryContent(data=data, media_type=fields["media_type"])
    of_kind = provider.ImageUrl if kind == "image" else provider.DocumentUrl
    return of_kind(url=fields["url"], media_type=fields.get("media_type"))


def _answered(message: Message) -> Iterator[provider.ModelResponsePart]:
    """Return what the model said, without its reasoning: providers take only what they signed."""
    parts = parts_of(message)
    if not parts:
        yield provider.TextPart(message.text)
    for part in parts:
        fields = fields_of(part)
        if part.type == "text":
            yield provider.TextPart(str(fields.get("text", "")))
        elif part.type == "tool-call":
            arguments = fields.get("arguments")
            yield provider.ToolCallPart(
                tool_name=str(fields.get("name")),
                # What was no JSON is sent back as the model wrote it, in a form that is.
                args=arguments if isinstance(arguments, dict) else {"text": arguments},
                tool_call_id=call_id(call_of(part)),
            )


def _give_back_thinking(sent: list[provider.ModelMessage], call: ModelCall) -> None:
    """Put the signed reasoning of the newest answer before its calls; some providers insist."""
    newest = next((each for each in reversed(sent) if each.kind == "response"), None)
    if newest is None or not newest.tool_calls or call.raw is None:
        return
    try:
        (answer,) = provider.ModelMessagesTypeAdapter.validate_python([call.raw])
    except ValidationError:
        return  # another version of pydantic-ai wrote it
    if not isinstance(answer, provider.ModelResponse):
        return
    if [each.tool_name for each in answer.tool_calls] != [
        each.tool_name for each in newest.tool_calls
    ]:
        return
    thinking = [part for part in answer.parts if isinstance(part, provider.ThinkingPart)]
    newest.parts = [*[part for part in thinking if part.signature], *newest.parts]
    newest.provider_name = answer.provider_name
    newest.canonical_system = answer.canonical_system
    newest.model_name = answer.model_name

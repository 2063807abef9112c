"""The rules of the providers for what a model may be shown, and how a view is made to follow them.

A crash, a cancelled turn or a user's policy may leave a call without its result, a result without
its call, or nothing at all in a message.  Providers refuse such a conversation for ever.
"""

from collections.abc import Sequence

from turnline_schemas.message import Content, Message
from turnline_workers.interaction.parts import call_of, fields_of, parts_of, result_part
from turnline_workers.interaction.tools import failure


def problems(messages: Sequence[Message]) -> list[str]:
    """Return what a provider would refuse; empty if the view is fit to be sent."""
    return repaired(messages)[1]


def repaired(messages: Sequence[Message]) -> tuple[tuple[Message, ...], list[str]]:
    """Return the view as providers take it, and what had to be changed for that.

    Each call gets its result in the next message, made up if there is none; results without a
    call, empty messages, and what stands before the first user's message are left out.
    """
    told: list[str] = []
    kept = _without_empty(messages, told)
    kept = _from_first_user(kept, told)
    return tuple(_paired(kept, told)), told


def _without_empty(messages: Sequence[Message], told: list[str]) -> list[Message]:
    kept = []
    for message in messages:
        if _is_empty(message):
            told.append(f"a message of role {message.role} with nothing in it is left out")
        else:
            kept.append(message)
    return kept


def _is_empty(message: Message) -> bool:
    if isinstance(message.content, str):
        return not message.content.strip()
    return not message.content.parts and not message.content.text.strip()


def _from_first_user(messages: list[Message], told: list[str]) -> list[Message]:
    """Drop what an answer to nobody would be; system messages and summaries may stand first."""
    for number, message in enumerate(messages):
        if message.role == "user":
            lost = [each for each in messages[:number] if each.role != "system"]
            if lost:
                told.append(f"{len(lost)} messages before the first of a user are left out")
            return [each for each in messages[:number] if each.role == "system"] + messages[number:]
    return messages


def _paired(messages: list[Message], told: list[str]) -> list[Message]:
    kept: list[Message] = []
    open_: dict[str, str] = {}
    """Call -> tool, for the calls of the last answer that have no result yet."""
    for message in messages:
        if message.role == "tool" and _results(message):
            wanted, open_ = _only_open(message, open_, told)
            kept += [wanted] if wanted is not None else []
            continue
        if open_ and message.role != "tool":
            kept.append(_made_up(open_, told))
            open_ = {}
        kept.append(message)
        if message.role == "assistant":
            open_ = _calls(message)
    if open_:
        kept.append(_made_up(open_, told))
    return kept


def _only_open(
    message: Message, open_: dict[str, str], told: list[str]
) -> tuple[Message | None, dict[str, str]]:
    """Keep the results that are waited for, each once."""
    assert not isinstance(message.content, str)
    parts, left = [], dict(open_)
    for part in message.content.parts:
        call = call_of(part)
        if part.type != "tool-result":
            parts.append(part)
        elif call in left:
            del left[call]
            parts.append(part)
        else:
            told.append(f"a result of call {call} is left out: nobody waits for it")
    if not parts:
        return None, left
    if len(parts) == len(message.content.parts):
        return message, left
    content = message.content.model_copy(update={"parts": tuple(parts)})
    return message.model_copy(update={"content": content}), left


def _made_up(open_: dict[str, str], told: list[str]) -> Message:
    told.append(f"calls without a result: {', '.join(open_)}; the model is told they were lost")
    output = failure("interrupted", "the call was interrupted; its result is unknown")
    parts = tuple(result_part(call, name, output, is_error=True) for call, name in open_.items())
    return Message(role="tool", content=Content(parts=parts))


def _calls(message: Message) -> dict[str, str]:
    parts = [part for part in parts_of(message) if part.type == "tool-call"]
    return {call_of(part): str(fields_of(part).get("name")) for part in parts}


def _results(message: Message) -> bool:
    return any(part.type == "tool-result" for part in parts_of(message))

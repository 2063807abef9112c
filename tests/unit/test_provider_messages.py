"""From the view to what pydantic-ai sends."""

import base64
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_ai import messages as provider

from turnline_schemas.message import Content, Message, Part, Role
from turnline_workers.errors import ModelError
from turnline_workers.interaction.model import ModelCall
from turnline_workers.models.provider_messages import call_id, provider_messages


def message(role: Role, *parts: dict[str, Any], text: str = "") -> Message:
    """A message with parts."""
    whole = tuple(Part.model_validate(part) for part in parts)
    return Message(role=role, content=Content(text=text, parts=whole))


def sent(*messages: Message, **more: Any) -> list[provider.ModelMessage]:
    """What is sent for a view."""
    return provider_messages(ModelCall(messages, "Be brief.", "t", **more))


HELLO = Message(role="user", content="Hello!")
CALLS = message(
    "assistant",
    {"type": "reasoning", "text": "They want weather."},
    {"type": "text", "text": "I look."},
    {"type": "tool-call", "call": "order 17.1.2", "name": "look", "arguments": {"city": "Oslo"}},
    {"type": "tool-call", "call": "order 17.1.3", "name": "look", "arguments": "{no json"},
    text="I look.",
)
FOUND = message("tool", {"type": "data", "name": "sources", "value": []}, text="A page\nof text")
RESULTS = message(
    "tool",
    {"type": "tool-result", "call": "order 17.1.2", "name": "look", "output": {"sky": "clear"}},
    {
        "type": "tool-result",
        "call": "order 17.1.3",
        "name": "look",
        "output": {"error": "invalid_arguments"},
        "is_error": True,
    },
)


def test_results_come_first_and_what_was_found_is_told_as_text() -> None:
    first, answer, results = sent(HELLO, CALLS, FOUND, RESULTS)

    assert isinstance(first, provider.ModelRequest)
    assert isinstance(answer, provider.ModelResponse)
    assert isinstance(results, provider.ModelRequest)
    assert [part.part_kind for part in answer.parts] == ["text", "tool-call", "tool-call"]
    assert [part.part_kind for part in results.parts] == [
        "tool-return",
        "tool-return",
        "user-prompt",
    ]
    one, other, found = results.parts
    assert isinstance(one, provider.ToolReturnPart)
    assert isinstance(other, provider.ToolReturnPart)
    assert isinstance(found, provider.UserPromptPart)
    assert [part.tool_call_id for part in answer.tool_calls] == [
        one.tool_call_id,
        other.tool_call_id,
    ]
    assert (one.outcome, other.outcome) == ("success", "failed")
    assert "A page\nof text" in str(found.content)
    assert results.instructions == "Be brief."
    assert answer.tool_calls[1].args == {"text": "{no json"}


@given(st.text(), st.text())
def test_every_call_has_an_id_that_every_provider_takes(one: str, other: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", call_id(one))
    assert (call_id(one) == call_id(other)) == (one == other)


def test_pictures_and_files_are_sent_as_such() -> None:
    data = base64.b64encode(b"picture").decode()
    said = message(
        "user",
        {"type": "text", "text": "What is this?"},
        {"type": "image", "url": "https://example.org/cat.png"},
        {"type": "image", "data": data, "media_type": "image/png"},
        {"type": "file", "url": "https://example.org/a.pdf", "media_type": "application/pdf"},
        {"type": "data", "name": "order", "value": 17},
    )

    (request,) = sent(said)

    (part,) = request.parts
    assert isinstance(part, provider.UserPromptPart)
    text, by_url, inline, file, other = part.content
    assert text == "What is this?"
    assert isinstance(by_url, provider.ImageUrl)
    assert isinstance(inline, provider.BinaryContent)
    assert inline.data == b"picture"
    assert isinstance(file, provider.DocumentUrl)
    assert '"value": 17' in str(other)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image"},
        {"type": "image", "data": "not base64!", "media_type": "image/png"},
        {"type": "image", "data": "AAAA"},
        {"type": "file", "url": None},
        {"type": "image", "data": 5, "media_type": "image/png"},
    ],
)
def test_a_part_without_its_fields_fails_the_turn_and_says_why(part: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="'url', or 'data'"):
        sent(message("user", part))


def signed(*parts: provider.ModelResponsePart) -> Any:
    """A provider's answer, as it is kept between two calls."""
    answer = provider.ModelResponse(parts=list(parts), provider_name="anthropic")
    return provider.ModelMessagesTypeAdapter.dump_python([answer], mode="json")[0]


def test_signed_reasoning_is_given_back_with_the_calls_that_it_led_to() -> None:
    calls = [provider.ToolCallPart("look"), provider.ToolCallPart("look")]
    thought = provider.ThinkingPart("They want weather.", signature="s", provider_name="anthropic")
    unsigned = provider.ThinkingPart("Hm.")

    _, answer, _ = sent(HELLO, CALLS, RESULTS, raw=signed(thought, unsigned, *calls))
    _, other, _ = sent(HELLO, CALLS, RESULTS, raw=signed(thought, provider.ToolCallPart("book")))
    _, garbled, _ = sent(HELLO, CALLS, RESULTS, raw={"of": "another version"})

    assert answer.parts[0] == thought
    assert [part.part_kind for part in answer.parts].count("thinking") == 1
    assert all(part.part_kind != "thinking" for part in (*other.parts, *garbled.parts))

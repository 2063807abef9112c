"""The offline model: the same input gives the same stream, and it can use tools."""

import pytest

from turnline_workers import Assistant, Session, Tool
from turnline_workers.interaction.outcome import Completed


def add(one: int, other: int) -> int:
    """Add two numbers."""
    return one + other


def answer(text: str) -> Completed:
    """Play one turn of an assistant that can add."""
    session = Session("demo", assistant=Assistant("builtin", tools=[Tool(add, effects="pure")]))
    outcome = session.send_sync(text)
    assert isinstance(outcome, Completed)
    return outcome


def test_a_message_made_of_calls_calls_those_tools_side_by_side() -> None:
    outcome = answer('add {"one": 1, "other": 2}\nadd {"one": 3, "other": 4}')

    assert [message.role for message in outcome.messages] == [
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert outcome.messages[-1].text == "add says 3\nadd says 7"


@pytest.mark.parametrize(
    "text", ["add", "add {}", "add [1]", "subtract {}", 'add {"one": 1}\nplease', "add {one: 1}"]
)
def test_anything_else_is_answered_or_told_to_be_wrong(text: str) -> None:
    said = answer(text).messages[-1].text

    assert said.startswith("Turn 1. You said:") or "invalid_arguments" in said


def test_the_same_input_gives_the_same_stream() -> None:
    assert answer("Once more").messages == answer("Once more").messages

"""The rules of the providers: whatever a view holds, what a model is shown follows them."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from turnline_schemas.message import Content, Message, Part
from turnline_workers.interaction.view import problems, repaired


def part(kind: str, call: str) -> Part:
    fields: dict[str, Any] = {"call": call, "name": "look"}
    fields |= {"arguments": {}} if kind == "tool-call" else {"output": 1, "is_error": False}
    return Part.model_validate({"type": kind, **fields})


def message(role: str, content: Any) -> Message:
    return Message.model_validate({"role": role, "content": content})


texts = st.sampled_from(["", "  ", "Hello", "Bye"])
ids = st.sampled_from(["t.1.0", "t.1.1", "t.3.0"])
said = st.builds(message, st.sampled_from(["system", "user", "assistant", "tool"]), texts)
called = st.builds(
    lambda calls, text: message(
        "assistant", Content(text=text, parts=tuple(part("tool-call", call) for call in calls))
    ),
    st.lists(ids, unique=True, max_size=3),
    texts,
)
answered = st.builds(
    lambda calls: message("tool", Content(parts=tuple(part("tool-result", c) for c in calls))),
    st.lists(ids, max_size=3),
)


@given(st.lists(st.one_of(said, called, answered), max_size=8))
def test_a_repaired_view_has_no_problems_and_stays_as_it_is(view: list[Message]) -> None:
    fit, _ = repaired(view)

    assert problems(fit) == []
    assert repaired(fit)[0] == fit
    assert_fit(list(fit))


def assert_fit(view: list[Message]) -> None:
    """Check the rules in other words than the code does."""
    spoken = [each for each in view if each.role != "system"]
    users = [each for each in view if each.role == "user"]
    assert not users or spoken[0].role == "user"
    waiting: set[str] = set()
    for each in view:
        parts = () if isinstance(each.content, str) else each.content.parts
        results = calls_of(each, "tool-result")
        assert set(results) <= waiting
        assert len(results) == len(set(results))
        waiting -= set(results)
        if each.role != "tool":
            assert not waiting
        if each.role == "assistant":
            waiting = set(calls_of(each, "tool-call"))
        assert each.text.strip() or parts
    assert not waiting


def calls_of(each: Message, kind: str) -> list[str]:
    """The ids of the calls, or results, that a message holds."""
    parts = () if isinstance(each.content, str) else each.content.parts
    return [part.model_extra["call"] for part in parts if part.type == kind and part.model_extra]


def test_a_view_that_is_fit_is_not_touched() -> None:
    view = (
        message("system", "Be brief."),
        message("user", "Look!"),
        message("assistant", Content(parts=(part("tool-call", "t.1.0"),))),
        message("tool", Content(parts=(part("tool-result", "t.1.0"),))),
        message("assistant", "Seen."),
    )

    assert repaired(view) == (view, [])


def test_a_call_without_its_result_gets_one_that_says_so() -> None:
    view = (
        message("user", "Look!"),
        message("assistant", Content(parts=(part("tool-call", "t.1.0"),))),
        message("user", "And?"),
    )

    fit, told = repaired(view)

    assert [each.role for each in fit] == ["user", "assistant", "tool", "user"]
    assert "t.1.0" in told[0]

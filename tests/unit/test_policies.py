"""Ready-made policies: what the model sees gets shorter, and always between turns."""

import asyncio
from dataclasses import replace

import pytest
from harness.scripted import ScriptedModel, says
from hypothesis import given
from hypothesis import strategies as st

from turnline_schemas.errors import ConfigurationError
from turnline_schemas.event_data import TraceEntry, Usage
from turnline_schemas.message import Content, Message, Part
from turnline_workers.errors import ModelError
from turnline_workers.interaction.assistant import Assistant
from turnline_workers.interaction.policies import Policies, Shaping
from turnline_workers.interaction.state import InteractionState, stored_view
from turnline_workers.interaction.summaries import covers, summarize_when
from turnline_workers.interaction.tokens import guessed_tokens
from turnline_workers.interaction.view import problems
from turnline_workers.interaction.windows import drop_tool_payloads, keep_last_turns, keep_within


def a_state(turns: int, *, tools: bool = True) -> InteractionState:
    """A session of so many turns, each with a tool call."""
    state = InteractionState()
    for number in range(1, turns + 1):
        call = f"t{number}.1.0"
        asked = {"type": "tool-call", "call": call, "name": "look", "arguments": {}}
        told = {"type": "tool-result", "call": call, "name": "look", "output": "x" * 400}
        used = [
            Message(role="assistant", content=Content(parts=(Part.model_validate(asked),))),
            Message(role="tool", content=Content(parts=(Part.model_validate(told),))),
        ]
        state = state.appended(
            f"t{number}",
            Message(role="user", content=f"Question {number}"),
            *(used if tools else []),
            Message(role="assistant", content=f"Answer {number}"),
        )
    return state


def applied(
    state: InteractionState, *policies: Policies, model: ScriptedModel | None = None
) -> InteractionState:
    """What is saved after the turn."""
    shaping = Shaping(policies, model or ScriptedModel(), Assistant.named)
    return asyncio.run(shaping.apply(state, state))


def turns_of(state: InteractionState) -> list[str]:
    """The turns that are still shown."""
    return list(dict.fromkeys(message.turn for message in state.messages if message.turn))


POLICIES = {
    "last": lambda n: keep_last_turns(n),
    "within": lambda n: keep_within(50 * n),
    "payloads": lambda n: drop_tool_payloads(older_than=n),
}


@given(st.integers(0, 6), st.integers(1, 4), st.sampled_from(sorted(POLICIES)))
def test_cuts_are_between_turns_and_leave_what_a_provider_takes(
    turns: int, size: int, name: str
) -> None:
    before = a_state(turns)

    after = applied(before, POLICIES[name](size))

    assert problems(after.messages) == []
    assert turns_of(after) == turns_of(before)[len(turns_of(before)) - len(turns_of(after)) :]
    assert after.next_index == before.next_index
    if turns:
        assert after.messages[-1] == before.messages[-1]


def test_the_last_turns_are_kept_and_stored_as_a_window_of_the_transcript() -> None:
    after = applied(a_state(9), keep_last_turns(2))

    assert turns_of(after) == ["t8", "t9"]
    assert stored_view(after).head == ()
    assert stored_view(after).start == 29


def test_a_budget_keeps_the_last_turn_even_if_it_is_over() -> None:
    assert turns_of(applied(a_state(3), keep_within(1))) == ["t3"]
    assert turns_of(applied(a_state(5), keep_within(10, count=lambda _: 1))) == ["t4", "t5"]


def test_old_results_of_tools_are_hidden_and_their_calls_stay() -> None:
    after = applied(a_state(3), drop_tool_payloads(older_than=1))

    sizes = [len(message.model_dump_json()) for message in after.messages if message.role == "tool"]
    assert sizes[0] < 300
    assert sizes[1] < 300
    assert sizes[2] > 400


def test_a_summary_takes_the_place_of_old_turns_and_names_what_it_covers() -> None:
    model = ScriptedModel(says("They talked."), says("They talked more."))
    policy = summarize_when(tokens=100, model=model, keep_turns=1)

    once = applied(a_state(4), policy)
    assert covers(once.messages[0]) == (1, 12)
    assert turns_of(once) == ["t4"]
    again = applied(a_longer(once), policy)

    assert covers(again.messages[0]) == (1, 16)
    assert "They talked more." in again.messages[0].text
    assert model.calls[1].messages[0].text.endswith("They talked.")


def a_longer(state: InteractionState) -> InteractionState:
    said = [Message(role="user", content="Well?"), Message(role="assistant", content="x" * 900)]
    return state.appended("t5", *said)


def test_a_summary_is_made_by_the_model_of_the_assistant_unless_another_is_named() -> None:
    own, other = ScriptedModel(says("By its own.")), ScriptedModel(says("By another."))

    by_own = applied(a_state(2), summarize_when(tokens=10, keep_turns=0), model=own)
    by_other = applied(a_state(2), summarize_when(tokens=10, model=other, keep_turns=0), model=own)

    assert by_own.messages[0].text.endswith("By its own.")
    assert by_other.messages[0].text.endswith("By another.")


def counted(state: InteractionState, tokens: int) -> InteractionState:
    """The state after a turn whose last call of a model read and wrote so many tokens."""
    entry = TraceEntry(
        kind="model", id="t.1", name="run", duration_ms=1, usage=Usage(input=tokens - 10, output=10)
    )
    return replace(state, trace=(entry,))


def test_a_budget_is_of_tokens_that_the_provider_counted() -> None:
    state = a_state(8, tools=False)
    guess = sum(guessed_tokens(message) for message in state.messages)

    half = keep_within(guess)
    assert len(turns_of(applied(state, half))) == 8
    assert len(turns_of(applied(counted(state, 2 * guess), half))) == 4
    # What no tokenizer makes of the view was sent beside it, and no cut makes it less.
    beside = applied(counted(state, 3 * guess + 9_000), keep_within(9_000 + guess))
    assert 2 <= len(turns_of(beside)) <= 3


def test_it_is_noted_what_a_policy_hid_changed_and_made() -> None:
    model = ScriptedModel(says("They talked."))
    summary = summarize_when(tokens=100, model=model, keep_turns=3)

    after = applied(a_state(6), summary, drop_tool_payloads(older_than=2), keep_last_turns(2))

    assert [message.by for message in after.messages if message.by] == [summary.name]
    assert after.private["hidden"] == {
        "summarize_when(tokens=100)": {"first": 1, "last": 12, "messages": 12, "turn": "t6"},
        "keep_last_turns(2)": {"first": 13, "last": 16, "messages": 4, "turn": "t6"},
    }
    again = applied(after.appended("t7", Message(role="user", content="?")), keep_last_turns(2))
    assert again.private["hidden"]["keep_last_turns(2)"]["messages"] == 8


def test_a_message_that_a_policy_of_the_user_changes_is_stored_as_it_became() -> None:
    def shout(state: InteractionState) -> InteractionState:
        loud = [each.model_copy(update={"content": each.text.upper()}) for each in state.messages]
        return replace(state, messages=tuple(loud))

    view = stored_view(applied(a_state(1, tools=False), Policies(truncate=shout)))

    assert [message.text for message in view.head] == ["QUESTION 1", "ANSWER 1"]
    assert {message.by for message in view.head} == {"shout"}


def test_a_summary_that_fails_leaves_the_view_as_it_is() -> None:
    model = ScriptedModel([ModelError("gone")])

    state = a_state(4)

    assert applied(state, summarize_when(tokens=10, model=model)) == state
    after = applied(state, summarize_when(tokens=10, model=model, keep_turns=1))
    assert after.messages == state.messages
    assert [each.code for each in after.diagnostics] == ["summary_failed"]


def test_several_policies_run_by_kind_and_then_as_they_were_given() -> None:
    order: list[str] = []

    def note(name: str, state: InteractionState) -> InteractionState:
        order.append(name)
        return replace(state)

    applied(
        a_state(1),
        Policies(truncate=lambda state: note("truncate 1", state)),
        Policies(merge=lambda old, new: note("merge", new)),
        Policies(
            summarize=lambda state: note("summarize", state),
            truncate=lambda state: note("truncate 2", state),
        ),
    )

    assert order == ["merge", "summarize", "truncate 1", "truncate 2"]


@pytest.mark.parametrize(
    "build",
    [
        lambda: keep_last_turns(0),
        lambda: keep_within(0),
        lambda: drop_tool_payloads(older_than=-1),
        lambda: summarize_when(tokens=0, model=ScriptedModel()),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_when_it_is_made(build: object) -> None:
    with pytest.raises(ConfigurationError):
        build()  # type: ignore[operator]

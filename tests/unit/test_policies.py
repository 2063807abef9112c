"""Ready-made policies: what the model sees gets shorter, and always between turns."""

import asyncio
from dataclasses import replace

import pytest
from harness.scripted import ScriptedModel, says
from hypothesis import given
from hypothesis import strategies as st

from turnline_schemas.errors import ConfigurationError
from turnline_schemas.message import Content, Message, Part
from turnline_workers.errors import ModelError
from turnline_workers.interaction.policies import Policies, combined
from turnline_workers.interaction.state import InteractionState, stored_view
from turnline_workers.interaction.summaries import covers, summarize_when
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


def applied(policies: Policies, state: InteractionState) -> InteractionState:
    """What is saved after the turn."""
    return asyncio.run(policies.apply(state, state))


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

    after = applied(POLICIES[name](size), before)

    assert problems(after.messages) == []
    assert turns_of(after) == turns_of(before)[len(turns_of(before)) - len(turns_of(after)) :]
    assert after.next_index == before.next_index
    if turns:
        assert after.messages[-1] == before.messages[-1]


def test_the_last_turns_are_kept_and_stored_as_a_window_of_the_transcript() -> None:
    after = applied(keep_last_turns(2), a_state(9))

    assert turns_of(after) == ["t8", "t9"]
    assert stored_view(after).head == ()
    assert stored_view(after).start == 29


def test_a_budget_keeps_the_last_turn_even_if_it_is_over() -> None:
    assert turns_of(applied(keep_within(1), a_state(3))) == ["t3"]
    assert turns_of(applied(keep_within(10, count=lambda _: 1), a_state(5))) == ["t4", "t5"]


def test_old_results_of_tools_are_hidden_and_their_calls_stay() -> None:
    after = applied(drop_tool_payloads(older_than=1), a_state(3))

    sizes = [len(message.model_dump_json()) for message in after.messages if message.role == "tool"]
    assert sizes[0] < 300
    assert sizes[1] < 300
    assert sizes[2] > 400


def test_a_summary_takes_the_place_of_old_turns_and_names_what_it_covers() -> None:
    model = ScriptedModel(says("They talked."), says("They talked more."))
    policy = summarize_when(tokens=100, model=model, keep_turns=1)

    once = applied(policy, a_state(4))
    assert covers(once.messages[0]) == (1, 12)
    assert turns_of(once) == ["t4"]
    again = applied(policy, a_longer(once))

    assert covers(again.messages[0]) == (1, 16)
    assert "They talked more." in again.messages[0].text
    assert model.calls[1].messages[0].text.endswith("They talked.")


def a_longer(state: InteractionState) -> InteractionState:
    said = [Message(role="user", content="Well?"), Message(role="assistant", content="x" * 900)]
    return state.appended("t5", *said)


def test_a_summary_that_fails_leaves_the_view_as_it_is() -> None:
    model = ScriptedModel([ModelError("gone")])

    state = a_state(4)

    assert applied(summarize_when(tokens=10, model=model), state) == state
    assert applied(summarize_when(tokens=10, model=model, keep_turns=1), state) == state


def test_several_policies_run_by_kind_and_then_as_they_were_given() -> None:
    order: list[str] = []

    def note(name: str, state: InteractionState) -> InteractionState:
        order.append(name)
        return replace(state)

    policies = combined(
        [
            Policies(truncate=lambda state: note("truncate 1", state)),
            Policies(merge=lambda old, new: note("merge", new)),
            Policies(
                summarize=lambda state: note("summarize", state),
                truncate=lambda state: note("truncate 2", state),
            ),
        ]
    )
    applied(policies, a_state(1))

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

"""From an outcome to what is stored and published: without servers."""

import json
from typing import Any

import pytest

from turnline_schemas.event import parse_event
from turnline_schemas.event_data import TERMINAL, Usage
from turnline_schemas.message import Message
from turnline_workers.flow import Claim, ClaimedTurn
from turnline_workers.interaction.outcome import Cancelled, Completed, Failed
from turnline_workers.interaction.state import InteractionState
from turnline_workers.runner.settle import Dead, settle

HELLO = Message(role="user", content="Hello!")
STATE = InteractionState().appended("turn-1", HELLO)
OUTCOMES: dict[str, Any] = {
    "completed": Completed((HELLO,), STATE, Usage(input=1, output=2), "stop"),
    "failed": Failed((HELLO,), STATE, "model_error", "it broke", retryable=True),
    "cancelled": Cancelled((HELLO,), STATE, "enough"),
    "dead": Dead((HELLO,), STATE, 3),
}


def a_claim(**fields: Any) -> Claim:
    turn = ClaimedTurn("turn-1", 2, 1, HELLO, {}, "default", None)
    values = {"session": "ses", "worker": "w-1", "fence": 7, "turn": turn, "last_seq": 40}
    return Claim(**{**values, "state": InteractionState(), **fields})


@pytest.mark.parametrize("status", OUTCOMES)
def test_every_outcome_has_its_status_and_one_terminal_event(status: str) -> None:
    settlement = settle(a_claim(), OUTCOMES[status], now_ms=1, top=50)

    event = parse_event('{"v":1,"seq":51,' + settlement.event.fragment)
    assert settlement.status == status
    assert event.type == f"turn.{status}"
    assert event.type in TERMINAL
    assert (event.session, event.turn, event.attempt, event.ts) == ("ses", "turn-1", 2, 1)
    assert settlement.event.played


@pytest.mark.parametrize("status", OUTCOMES)
def test_the_terminal_event_comes_after_all_that_was_published(status: str) -> None:
    settlement = settle(a_claim(), OUTCOMES[status], now_ms=1, top=50)

    assert settlement.last_seq == 51
    assert settlement.messages == (HELLO,)
    assert settlement.state is STATE


def test_only_a_completed_turn_has_usage() -> None:
    used = {name: settle(a_claim(), each, now_ms=1, top=0).usage for name, each in OUTCOMES.items()}

    assert used.pop("completed") == {"input": 1, "output": 2}
    assert set(used.values()) == {None}


def test_what_is_stored_of_an_error_is_what_the_event_says() -> None:
    for status in ("failed", "dead"):
        settlement = settle(a_claim(), OUTCOMES[status], now_ms=1, top=0)

        said = json.loads("{" + settlement.event.fragment)["data"]
        assert settlement.error == said

    for status in ("completed", "cancelled"):
        assert settle(a_claim(), OUTCOMES[status], now_ms=1, top=0).error is None

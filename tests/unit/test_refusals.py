"""Which turns of a page stand before what lets the paused turn go on."""

import pytest

from turnline_schemas.message import AnyMessage, CancelMessage, Message, ResumeMessage, TurnMessage
from turnline_workers.flow import Arrival
from turnline_workers.store.refusals import before_the_answer

QUESTION = {"pause": "t.1.0", "answer_schema": {"type": "boolean"}}

ANSWER = ResumeMessage(session="s", turn="t", pause="t.1.0", value=True)
CANCEL = CancelMessage(session="s", turn="t")


@pytest.mark.parametrize(
    ("between", "refused"),
    [
        (ANSWER, {"1-0"}),
        (CANCEL, {"1-0"}),
        (ANSWER.model_copy(update={"value": "perhaps"}), {"1-0", "3-0"}),
        (ANSWER.model_copy(update={"pause": "t.0.0"}), {"1-0", "3-0"}),
        (CANCEL.model_copy(update={"turn": "another"}), {"1-0", "3-0"}),
    ],
    ids=["answer", "cancel", "wrong answer", "another question", "cancel of another turn"],
)
def test_only_what_ends_the_pause_lets_in_what_stands_behind_it(
    between: AnyMessage, refused: set[str]
) -> None:
    page = [arrival("1-0", turn("a")), arrival("2-0", between), arrival("3-0", turn("b"))]

    found = before_the_answer(page, "t", QUESTION)

    assert set(found) == refused
    assert {(each.reason, "'t'" in each.detail) for each in found.values()} == {
        ("session_paused", True)
    }


def arrival(position: str, message: AnyMessage) -> Arrival:
    return Arrival(position, message)


def turn(name: str) -> TurnMessage:
    return TurnMessage(session="s", turn=name, message=Message(role="user", content="Hello!"))

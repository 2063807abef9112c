"""A session in process that waits for an answer: too late for one, or given up."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from harness.fold import fold
from harness.listed import Listed
from harness.scripted import Answer, ScriptedModel, calls, says

from turnline_workers import Assistant, MemoryStore, Pack, Session, Step, Tool, TurnState
from turnline_workers.errors import PauseExpiredError
from turnline_workers.inprocess.session import SessionPausedError
from turnline_workers.interaction.model import Delta, ModelCall
from turnline_workers.interaction.outcome import Cancelled, Completed, Failed, Paused
from turnline_workers.interaction.tools import ToolContext

OVER = timedelta(microseconds=1)
"""A question that has expired as soon as it was asked."""

ran: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


def book(ctx: ToolContext, **asking: Any) -> str:
    """Ask, then act."""
    ran.append("asked")
    return "booked" if ctx.ask("approval", schema={"type": "boolean"}, **asking) else "not booked"


def book_in_time(ctx: ToolContext) -> str:
    """Give up where nobody answers."""
    try:
        return book(ctx, expires_in=OVER)
    except PauseExpiredError:
        return "nobody answered"


def reply(call: ModelCall) -> Answer:
    """Call the tool, then say so."""
    if call.messages[-1].role != "user":
        return says("Done.")
    return [Delta("Let me see."), *calls(("book", "{}"))]


class Scene:
    """Session objects on one store, as after restarts."""

    def __init__(self, tool: Callable[[ToolContext], str]) -> None:
        self.store, self.events = MemoryStore(), Listed()
        self.model = ScriptedModel(reply=reply)
        self.assistant = Assistant(self.model, tools=[Tool(tool, name="book")])

    def session(self) -> Session:
        return Session("demo", assistant=self.assistant, store=self.store, events=self.events)

    def ends(self) -> list[tuple[str | None, str]]:
        return [(e.turn, e.type) for e in self.events.events if e.terminal]


def asking(**how: Any) -> Scene:
    """A tool that asks."""

    def tool(ctx: ToolContext) -> str:
        return book(ctx, **how)

    return Scene(tool)


def reviewed() -> Scene:
    """A step behind the model that asks, and that nobody answers in time."""

    def review(turn: TurnState) -> TurnState:
        turn.ask("approval", expires_in=OVER)
        return turn

    scene = asking()
    pack = Pack("review", (Step("review", review, depends_on=("core.run-model",)),))
    model = ScriptedModel(reply=lambda call: says("Here it is."))
    scene.assistant = Assistant(model, packs=[pack])
    return scene


def test_an_answer_that_comes_too_late_does_not_count() -> None:
    scene = reviewed()
    assert isinstance(scene.session().send_sync("Book it", turn="t-1"), Paused)

    outcome = scene.session().resume_sync(True)

    assert isinstance(outcome, Failed)
    assert outcome.code == "pause_expired"
    assert scene.ends() == [("t-1", "turn.failed")]
    with pytest.raises(SessionPausedError, match="does not wait"):
        scene.session().resume_sync(True)


def test_an_answer_in_time_counts() -> None:
    scene = asking(expires_in=timedelta(hours=1))
    scene.session().send_sync("Book it")

    with pytest.raises(SessionPausedError, match=r"resume\(\) or cancel\(\)"):
        scene.session().send_sync("Hello?")

    assert isinstance(scene.session().resume_sync(True), Completed)


def test_a_tool_goes_on_without_an_answer_if_it_can() -> None:
    scene = Scene(book_in_time)
    scene.session().send_sync("Book it")

    outcome = scene.session().resume_sync(True)

    assert isinstance(outcome, Completed)
    assert '"nobody answered"' in outcome.messages[2].model_dump_json()


def test_the_next_turn_ends_one_that_nobody_answered() -> None:
    scene = reviewed()
    scene.session().send_sync("Book it", turn="t-1")

    next_one = scene.session()
    outcome = next_one.send_sync("Hello?", turn="t-2")

    assert isinstance(outcome, Paused)
    assert scene.ends() == [("t-1", "turn.failed")]
    assert [e.seq for e in scene.events.events] == list(range(1, len(scene.events.events) + 1))
    assert [message.text for message in next_one.state.messages] == ["Book it", "Here it is."]


def test_a_tool_that_asks_again_when_its_time_is_over_still_waits() -> None:
    def insist(ctx: ToolContext) -> str:
        try:
            return book(ctx, expires_in=OVER)
        except PauseExpiredError:
            return str(ctx.ask("again"))

    scene = Scene(insist)
    scene.session().send_sync("Book it")

    with pytest.raises(SessionPausedError):
        scene.session().send_sync("Hello?")
    outcome = scene.session().resume_sync("yes")

    assert isinstance(outcome, Completed)


def test_a_paused_turn_can_be_cancelled_and_keeps_what_it_said() -> None:
    scene = asking()
    scene.session().send_sync("Book it", turn="t-1")

    session = scene.session()
    outcome = session.cancel_sync("changed my mind")

    assert isinstance(outcome, Cancelled)
    assert outcome.reason == "changed my mind"
    assert [(m.role, m.text) for m in session.state.messages] == [
        ("user", "Book it"),
        ("assistant", "Let me see."),
        ("tool", ""),
    ]
    assert scene.ends() == [("t-1", "turn.cancelled")]
    assert (ran, len(scene.model.calls)) == (["asked"], 1)
    assert folded(scene) == ["user", "assistant", "tool"]


def test_after_a_cancel_the_session_goes_on() -> None:
    scene = asking()
    scene.session().send_sync("Book it")
    scene.session().cancel_sync()

    with pytest.raises(SessionPausedError, match="does not wait"):
        scene.session().cancel_sync()

    assert isinstance(scene.session().send_sync("Again"), Paused)


def test_a_question_in_process_tells_that_later_turns_are_refused() -> None:
    scene = asking()

    outcome = scene.session().send_sync("Book it")

    assert isinstance(outcome, Paused)
    assert outcome.question.later_turns == "refuse"
    assert scene.events.events[-1].data.model_dump()["later_turns"] == "refuse"


def folded(scene: Scene) -> list[str]:
    """Return the roles of what a reader of the events has."""
    log = [event.model_dump(mode="json") for event in scene.events.events]
    for event, dumped in zip(scene.events.events, log, strict=True):
        dumped["data"] = event.data.model_dump(mode="json")
    return [role for _, role, _ in fold(log)]

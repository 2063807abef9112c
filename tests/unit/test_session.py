"""Sessions in one process: the same core, without any queue."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from harness.fold import fold
from harness.listed import Listed
from harness.scripted import Answer, ScriptedModel, calls, says

from turnline_schemas.errors import (
    InvalidInputError,
    InvalidMessageError,
    RedisUnavailableError,
)
from turnline_schemas.message import Content, Message, Part
from turnline_workers import Assistant, IteratorStream, MemoryStore, Session, Tool, policies
from turnline_workers.errors import StaleStateError
from turnline_workers.inprocess.session import SessionPausedError
from turnline_workers.interaction.model import ModelCall
from turnline_workers.interaction.outcome import Completed, Failed, Paused
from turnline_workers.interaction.reducer import reduce_all
from turnline_workers.interaction.state import InteractionState
from turnline_workers.interaction.tools import ToolContext
from turnline_workers.policies import Policies


def test_a_conversation_goes_on_where_it_was_left() -> None:
    store, assistant = MemoryStore(), Assistant("builtin")

    for number in range(1, 4):
        session = Session("demo", assistant=assistant, store=store)
        outcome = session.send_sync(f"message {number}")
        assert isinstance(outcome, Completed)
        assert outcome.messages[-1].text == f"Turn {number}. You said: message {number}"

    assert len(session.state.messages) == 6


def test_events_are_numbered_through_and_reduce_to_the_state() -> None:
    events = Listed()
    session = Session("demo", assistant=Assistant("builtin"), events=events)
    for number in range(3):
        session.send_sync(f"message {number}")

    assert [event.seq for event in events.events] == list(range(1, len(events.events) + 1))
    reduced = reduce_all(InteractionState(), events.events)
    assert reduced.messages == session.state.messages
    assert reduced.last_seq == session.state.last_seq
    assert [(entry.kind, entry.name) for entry in session.state.trace] == [
        ("step", "core.capture-input"),
        ("model", "builtin"),
        ("step", "core.run-model"),
    ]


def test_a_turn_that_fails_keeps_its_partial_answer_and_the_session_goes_on() -> None:
    session = Session("demo", assistant=Assistant("builtin"))

    failed = session.send_sync("Hello!", context={"builtin": {"text": "a b c", "fail_after": 2}})
    after = session.send_sync("Still there?")

    assert isinstance(failed, Failed)
    assert isinstance(after, Completed)
    assert [message.text for message in session.state.messages][:2] == ["Hello!", "a b"]
    assert session.state.diagnostics == ()


def approving() -> Assistant:
    """An assistant that asks before it books."""

    def book(ctx: ToolContext) -> str:
        return "booked" if ctx.ask("approval", schema={"type": "boolean"}) else "not booked"

    def reply(call: ModelCall) -> Answer:
        return calls(("book", "")) if call.messages[-1].role == "user" else says("Done.")

    return Assistant(ScriptedModel(reply=reply), tools=[Tool(book)])


def test_a_pause_outlives_the_session_object_and_is_answered_once() -> None:
    store, events, assistant = MemoryStore(), Listed(), approving()

    def session() -> Session:
        return Session("demo", assistant=assistant, store=store, events=events)

    paused = session().send_sync("Book it")
    assert isinstance(paused, Paused)
    with pytest.raises(SessionPausedError, match="resume"):
        session().send_sync("Hello?")
    with pytest.raises(InvalidInputError, match="boolean"):
        asyncio.run(session().resume("perhaps"))
    outcome = session().resume_sync(True)
    with pytest.raises(SessionPausedError, match="does not wait"):
        asyncio.run(session().resume(True))

    assert isinstance(outcome, Completed)
    log: list[dict[str, Any]] = [event.model_dump(mode="json") for event in events.events]
    said = [(message.role, message.text) for message in outcome.messages]
    assert said == [("user", "Book it"), ("assistant", ""), ("tool", ""), ("assistant", "Done.")]
    for event, dumped in zip(events.events, log, strict=True):
        dumped["data"] = event.data.model_dump(mode="json")
    assert [role for _, role, _ in fold(log)] == [role for role, _ in said]


def test_turns_of_one_session_are_played_one_at_a_time() -> None:
    events = Listed()
    session = Session("demo", assistant=Assistant("builtin"), events=events)

    async def both() -> None:
        await asyncio.gather(session.send("one", turn="t-1"), session.send("two", turn="t-2"))

    asyncio.run(both())

    assert [e.turn for e in events.events] == sorted(e.turn or "" for e in events.events)


def test_an_iterator_gets_the_events_as_they_come() -> None:
    async def run() -> list[str]:
        stream = IteratorStream()
        session = Session("demo", assistant=Assistant("builtin"), events=stream)
        sending = asyncio.create_task(session.send("Hello!"))
        sending.add_done_callback(lambda _: stream.close())
        return [event.type async for event in stream]

    types = asyncio.run(run())

    assert types[0] == "turn.started"
    assert types[-1] == "turn.completed"


def test_of_two_that_play_at_once_one_is_refused_and_its_turn_fails() -> None:
    store, events = MemoryStore(), Listed()
    rivals = [
        Session("demo", assistant=Assistant("builtin"), store=store, events=events)
        for _ in range(2)
    ]

    async def both() -> list[object]:
        slow: Any = {"builtin": {"delay": 0.01}}
        sent = (each.send("Hello!", turn=f"t-{n}", context=slow) for n, each in enumerate(rivals))
        return await asyncio.gather(*sent, return_exceptions=True)

    first, second = asyncio.run(both())

    assert isinstance(first, Completed)
    assert isinstance(second, StaleStateError)
    ends = [e for e in events.events if e.terminal]
    assert [(e.turn, e.type) for e in ends] == [("t-0", "turn.completed"), ("t-1", "turn.failed")]
    told = ends[1].data.model_dump()
    assert (told["code"], told["retryable"]) == ("stale_state", True)
    assert rivals[1].state == InteractionState()


def test_a_policy_that_makes_the_state_anew_does_not_lose_count() -> None:
    def anew(state: InteractionState) -> InteractionState:
        return InteractionState(messages=state.messages, next_index=state.next_index)

    store, assistant = MemoryStore(), Assistant("builtin", policies=[Policies(truncate=anew)])

    for number in range(1, 4):
        session = Session("demo", assistant=assistant, store=store)
        session.send_sync("Hello!")
        assert session.state.revision == number


def test_policies_shape_what_the_next_turn_sees() -> None:
    model = ScriptedModel(reply=lambda call: says("ok"))
    assistant = Assistant(model, policies=[policies.keep_last_turns(1)])
    session = Session("demo", assistant=assistant)

    for number in range(4):
        session.send_sync(f"message {number}")

    assert [message.text for message in model.calls[-1].messages] == [
        "message 2",
        "ok",
        "message 3",
    ]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RedisUnavailableError("redis://x", "away"), "redis_unavailable"),
        (OSError("no space left"), "store_error"),
    ],
    ids=["ours", "anything"],
)
def test_a_turn_that_was_not_saved_has_an_end(error: Exception, code: str) -> None:
    class Failing(MemoryStore):
        async def save(self, *args: object) -> None:
            raise error

    events = Listed()
    session = Session("demo", assistant=Assistant("builtin"), store=Failing(), events=events)

    with pytest.raises(type(error)):
        session.send_sync("Hello!")

    told = events.events[-1].data.model_dump()
    assert events.events[-1].type == "turn.failed"
    assert (told["code"], told["message"]) == (code, str(error))
    assert session.state == InteractionState()


def test_a_state_that_cannot_be_stored_ends_the_turn() -> None:
    class Full(MemoryStore):
        async def save(self, session: str, state: InteractionState, context: Any) -> None:
            raise InvalidInputError("the state cannot be stored")

    events = Listed()

    with pytest.raises(InvalidInputError, match="cannot be stored"):
        Session("demo", assistant=Assistant("builtin"), store=Full(), events=events).send_sync(
            "Hello!"
        )

    assert events.events[-1].data.model_dump()["code"] == "invalid_input"


WRONG_MESSAGES: dict[str, Any] = {
    "empty": "  ",
    "nothing": None,
    "NUL": "a\x00b",
    "surrogate": "a\ud800b",
    "of the assistant": Message(role="assistant", content="Hello!"),
    "no parts": Message(role="user", content=Content(parts=())),
    "NUL in a part": Message(
        role="user",
        content=Content(parts=(Part.model_validate({"type": "text", "text": "\x00"}),)),
    ),
}


@pytest.mark.parametrize("message", WRONG_MESSAGES.values(), ids=WRONG_MESSAGES)
def test_a_wrong_message_is_refused_before_anything_is_told(message: Any) -> None:
    refuses(message)


@pytest.mark.parametrize(
    "options",
    [
        {"turn": ""},
        {"turn": "a b"},
        {"turn": 7},
        {"context": {"a": "\x00"}},
        {"context": {"a": object()}},
        {"context": 7},
    ],
    ids=repr,
)
def test_wrong_options_are_refused_before_anything_is_told(options: dict[str, Any]) -> None:
    refuses("Hello!", **options)


def refuses(message: Any, **options: Any) -> None:
    """Fail unless this cannot be sent."""
    events, model = Listed(), ScriptedModel()
    session = Session("demo", assistant=Assistant(model), events=events)

    with pytest.raises(InvalidMessageError):
        session.send_sync(message, **options)

    assert (events.events, model.calls) == ([], [])


@pytest.mark.parametrize("session", ["", "a b", "a{b}", "ü", "a\n", "x" * 129, None], ids=repr)
def test_what_can_be_no_session_is_refused(session: Any) -> None:
    with pytest.raises(InvalidMessageError, match=r"no session id; expected 1-128"):
        Session(session, assistant=Assistant("builtin"))


def test_an_answer_that_cannot_be_stored_is_refused() -> None:
    session = Session("demo", assistant=approving())
    session.send_sync("Book it")

    with pytest.raises(InvalidMessageError, match="NUL"):
        session.resume_sync("\x00")


def test_threads_that_share_a_session_wait_for_each_other() -> None:
    session = Session("demo", assistant=Assistant("builtin"))
    slow: Any = {"builtin": {"delay": 0.01}}

    with ThreadPoolExecutor(8) as threads:
        sent = [threads.submit(session.send_sync, f"{n}", context=slow) for n in range(8)]
        outcomes = [each.result(30) for each in sent]

    assert all(isinstance(each, Completed) for each in outcomes)
    assert len(session.state.messages) == 16

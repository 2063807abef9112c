"""P12: an assistant may refuse turns that arrive while one of its turns waits for an answer."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from harness.builders import a_session
from harness.fold import fold
from harness.laws import assert_dense
from harness.shell import Shell
from harness.waiting import until
from harness.world import World

from turnline_schemas.errors import TurnRefusedError
from turnline_schemas.message import Message, TurnMessage
from turnline_schemas.names import turn_key
from turnline_workers.flow import Arrival, Received
from turnline_workers.store.engine import open_async_engine
from turnline_workers.store.receive import receive

SETTINGS = {"lease": 6, "sweep": 0.3, "assistants": "tooling:strict"}
BOOKING = {"builtin": {"calls": [{"name": "book", "arguments": {"hotel": "Ritz"}}]}}


@pytest.fixture
def asked(world: World) -> "Asked":
    """A session that waits for an answer, with one turn accepted before the pause."""
    session = a_session()
    first = world.enqueue(session, assistant="strict", context=BOOKING)
    before = world.enqueue(session, "Accepted before")
    world.worker(**SETTINGS)
    until(lambda: "turn.paused" in world.truth.types(session, first), what="it is paused")
    return Asked(world, session, first, before)


class Asked:
    """A paused session, and what a test does to it."""

    def __init__(self, world: World, session: str, first: str, before: str) -> None:
        self.world = world
        self.session = session
        self.first = first
        self.before = before
        self.question: dict[str, Any] = world.truth.turn(session, first)["pause"]

    def answer(self, *, confirm: bool = False) -> None:
        """Let the turn go on."""
        self.world.producer.resume(
            self.session, self.first, self.question["pause"], True, confirm=confirm
        )

    def refused(self, text: str, **options: Any) -> TurnRefusedError:
        """Enqueue, which must be refused; return how."""
        with pytest.raises(TurnRefusedError) as refused:
            self.world.producer.enqueue(self.session, text, confirm=True, **options)
        return refused.value

    def rest(self, *turns: str) -> None:
        """Wait until all turns have ended; they are the session's, in this order."""
        truth = self.world.truth
        until(lambda: all(truth.ended(self.session, turn) for turn in turns), what="all end")
        until(lambda: truth.outbox() == 0, what="their ends are published")
        assert [row["turn"] for row in truth.turns(self.session)] == list(turns)
        assert {row["status"] for row in truth.turns(self.session)} == {"completed"}
        assert_dense(truth.log(self.session))
        assert fold(truth.log(self.session)) == truth.transcript(self.session)
        done = Shell(self.world, self.world.directory)("verify", "--all")
        assert done.returncode == 0, done.stdout


def test_later_turns_are_refused_until_the_answer_and_accepted_after_it(asked: Asked) -> None:
    world, session = asked.world, asked.session
    soon = datetime.now(UTC) + timedelta(hours=1)

    refusals = [
        asked.refused("Later", turn="later"),
        asked.refused("Later", turn="later"),
        asked.refused("Delayed", turn="delayed", not_before=soon),
    ]
    asked.answer()
    world.producer.enqueue(session, "Later, in other words", turn="later", confirm=True)

    assert {refusal.reason for refusal in refusals} == {"session_paused"}
    letters = world.truth.dead_letters(session)
    assert [letter["reason"] for letter in letters] == ["session_paused"] * 3
    assert asked.first in letters[0]["detail"]
    asked.rest(asked.first, asked.before, "later")
    assert world.truth.messages(session)[-2]["content"] == "Later, in other words"


def test_the_event_tells_that_later_turns_are_refused(asked: Asked) -> None:
    (told,) = [
        event["data"]["later_turns"]
        for event in asked.world.truth.events(asked.session, asked.first)
        if event["type"] == "turn.paused"
    ]

    assert told == asked.question["later_turns"] == "refuse"


def test_a_repetition_of_a_turn_accepted_before_is_not_refused(asked: Asked) -> None:
    world, session = asked.world, asked.session
    world.truth.redis.delete(turn_key(session, asked.before))

    receipt = world.producer.enqueue(session, "Accepted before", turn=asked.before, confirm=True)

    assert receipt.confirmed
    asked.answer()
    asked.rest(asked.first, asked.before)


def test_in_one_page_what_stands_behind_the_answer_is_accepted(asked: Asked) -> None:
    world, session = asked.world, asked.session
    world.started[0].stop()
    world.enqueue(session, "Too early", turn="early")
    asked.answer()
    world.enqueue(session, "In time", turn="late")
    assert world.truth.inbox(session) == 3

    world.started[0].cont()

    asked.rest(asked.first, asked.before, "late")
    state = world.truth.redis.get(turn_key(session, "early"))
    assert str(state).endswith("|refused:session_paused")


def test_cancelling_the_paused_turn_lets_later_ones_in(asked: Asked) -> None:
    world, session = asked.world, asked.session
    world.producer.cancel(session, asked.first)

    world.producer.enqueue(session, "Later", turn="later", confirm=True)

    until(lambda: world.truth.ended(session, "later"), what="the later one ends")
    statuses = [row["status"] for row in world.truth.turns(session)]
    assert statuses == ["cancelled", "completed", "completed"]


def test_what_was_refused_stays_refused_for_a_worker_that_reads_it_too_late(asked: Asked) -> None:
    world, session = asked.world, asked.session
    asked.refused("Later", turn="later")
    position = world.truth.dead_letters(session)[0]["position"]
    asked.answer()
    asked.rest(asked.first, asked.before)
    message = TurnMessage(
        session=session, turn="later", message=Message(role="user", content="Later")
    )

    received = asyncio.run(receive_late(world, Arrival(position, message)))

    assert received.refused[position].reason == "session_paused"
    assert received.accepted == ()
    assert world.truth.turn(session, "later") == {}


async def receive_late(world: World, arrival: Arrival) -> Received:
    engine = open_async_engine(world.database_url, connections=1)
    try:
        return await receive(
            engine,
            arrival.message.session,
            [arrival],
            worker="late",
            slot=True,
            lease=timedelta(seconds=6),
            now_ms=0,
        )
    finally:
        await engine.dispose()

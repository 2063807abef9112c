"""Sessions of a process that live in Redis or Postgres: restarts, pauses, rivals, outages."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import redis
from harness.scripted import Answer, ScriptedModel, calls, says
from harness.world import World
from sqlalchemy import event, text

from turnline_schemas.errors import (
    ConfigurationError,
    InvalidInputError,
    PostgresUnavailableError,
    RedisUnavailableError,
)
from turnline_schemas.names import state_key
from turnline_workers import Assistant, Session, Tool
from turnline_workers.bus.scripts import SAVE_STATE
from turnline_workers.errors import SchemaVersionError
from turnline_workers.inprocess.session import SessionPausedError
from turnline_workers.interaction.model import ModelCall, ModelItem
from turnline_workers.interaction.outcome import Completed, Paused
from turnline_workers.interaction.state import InteractionState
from turnline_workers.interaction.tools import ToolContext
from turnline_workers.store import migrations
from turnline_workers.store.engine import one_connection, open_async_engine
from turnline_workers.stores import PostgresStore, RedisStore, SessionStore, StaleStateError

NOWHERE = "127.0.0.1:1"

STORES: dict[str, Callable[[World], SessionStore]] = {
    "redis": lambda place: RedisStore(place.redis_url, ttl=60),
    "postgres": lambda place: PostgresStore(place.database_url),
}


@pytest.fixture(params=STORES)
def make_store(request: pytest.FixtureRequest, place: World) -> Callable[[], SessionStore]:
    """Makes stores on one place."""
    return lambda: STORES[request.param](place)


@pytest.fixture
def session(request: pytest.FixtureRequest) -> str:
    """A session id that no other test has."""
    return "s-" + "".join(each if each.isalnum() else "." for each in request.node.name)


def test_a_conversation_goes_on_after_a_restart(
    make_store: Callable[[], SessionStore], session: str
) -> None:
    for number in range(1, 4):
        again = Session(session, assistant=Assistant("builtin"), store=make_store())
        outcome = again.send_sync(f"message {number}")
        assert isinstance(outcome, Completed)
        assert outcome.messages[-1].text == f"Turn {number}. You said: message {number}"

    assert len(again.state.messages) == 6
    assert again.state.revision == 3


def test_one_session_object_serves_several_event_loops(
    make_store: Callable[[], SessionStore], session: str
) -> None:
    one = Session(session, assistant=Assistant("builtin"), store=make_store())

    for _ in range(3):
        assert isinstance(one.send_sync("Hello!"), Completed)


def test_a_pause_outlives_the_process_and_is_answered_once(
    make_store: Callable[[], SessionStore], session: str
) -> None:
    def book(ctx: ToolContext) -> str:
        return "booked" if ctx.ask("approval", {"text": "Grüße"}) else "not booked"

    def reply(call: ModelCall) -> Answer:
        return calls(("book", "")) if call.messages[-1].role == "user" else says("Done.")

    assistant = Assistant(ScriptedModel(reply=reply), tools=[Tool(book)])

    def again() -> Session:
        return Session(session, assistant=assistant, store=make_store())

    assert isinstance(again().send_sync("Book it"), Paused)
    with pytest.raises(SessionPausedError):
        again().send_sync("Hello?")
    outcome = asyncio.run(again().resume(True))
    with pytest.raises(SessionPausedError):
        asyncio.run(again().resume(True))

    assert isinstance(outcome, Completed)
    assert [message.role for message in outcome.messages] == [
        "user",
        "assistant",
        "tool",
        "assistant",
    ]


def test_of_two_processes_that_play_at_once_one_is_refused_and_no_turn_is_half_stored(
    make_store: Callable[[], SessionStore], session: str
) -> None:
    class Meeting(ScriptedModel):
        """Answers once both have loaded the session."""

        async def stream(self, call: ModelCall) -> AsyncIterator[ModelItem]:
            await meeting.wait()
            async for item in ScriptedModel.stream(self, call):
                yield item

    meeting = asyncio.Barrier(2)
    alone = Assistant(ScriptedModel(reply=lambda call: says("ok")))

    async def both() -> list[Any]:
        slow = Assistant(Meeting(reply=lambda call: says("ok")))
        rivals = [Session(session, assistant=slow, store=make_store()) for _ in range(2)]
        return await asyncio.gather(
            *(each.send(f"message {n}") for n, each in enumerate(rivals)), return_exceptions=True
        )

    results = asyncio.run(both())
    refused = [each for each in results if isinstance(each, StaleStateError)]
    lost = 0 if results[0] is refused[0] else 1
    again = Session(session, assistant=alone, store=make_store())
    again.send_sync(f"message {lost}")

    assert len(refused) == 1
    assert "load it again" in str(refused[0])
    said = [message.text for message in again.state.messages if message.role == "user"]
    assert said == [f"message {1 - lost}", f"message {lost}"]


def bottomless() -> list[Any]:
    """A value that holds itself, as deeply as Python can go."""
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


def test_a_store_that_is_away_says_where_it_should_be() -> None:
    async def load(store: SessionStore) -> None:
        await store.load("s", {})

    with pytest.raises(RedisUnavailableError, match=NOWHERE):
        asyncio.run(load(RedisStore(f"redis://{NOWHERE}/0")))
    with pytest.raises(PostgresUnavailableError, match=NOWHERE) as away:
        asyncio.run(load(PostgresStore(f"postgresql://me:secret@{NOWHERE}/db")))

    assert "secret" not in str(away.value)


def test_a_database_without_the_table_says_what_to_run(place: World) -> None:
    name = f"{place.database}_empty"
    store = PostgresStore(place.backends.create_empty_database(name))

    async def use() -> None:
        with pytest.raises(SchemaVersionError, match="turnline migrate"):
            await store.load("s", {})
        with pytest.raises(SchemaVersionError, match="turnline migrate"):
            await store.save("s", InteractionState(), {})

    try:
        asyncio.run(use())
    finally:
        place.backends.drop_database(name)


def test_a_table_that_somebody_dropped_is_named(place: World) -> None:
    name = f"{place.database}_dropped"
    url = place.backends.create_empty_database(name)
    migrations.upgrade(url)
    with one_connection(url) as connection, connection.begin():
        connection.execute(text("DROP TABLE turnline.states"))

    try:
        with pytest.raises(ConfigurationError, match=r"turnline\.states is missing"):
            asyncio.run(PostgresStore(url).load("s", {}))
    finally:
        place.backends.drop_database(name)


@pytest.mark.parametrize("value", [object(), float("nan"), "\ud800", bottomless()], ids=type)
def test_what_is_no_json_is_refused(
    make_store: Callable[[], SessionStore], session: str, value: object
) -> None:
    state = InteractionState(private={"value": value})

    with pytest.raises(InvalidInputError, match="cannot be stored"):
        asyncio.run(make_store().save(session, state, {}))


def test_what_postgres_cannot_keep_is_refused(place: World) -> None:
    name = f"{place.database}_latin"
    url = place.backends.create_empty_database(name, encoding="LATIN1")
    store = PostgresStore(url)
    migrations.upgrade(url)

    async def use() -> None:
        await store.save("s", InteractionState(private={"value": "Grüße"}), {})
        with pytest.raises(InvalidInputError, match="Postgres cannot store"):
            await store.save("s", InteractionState(revision=1, private={"value": "世界"}), {})

    try:
        asyncio.run(use())
    finally:
        place.backends.drop_database(name)


def test_each_call_is_one_statement(place: World, session: str) -> None:
    statements: list[str] = []

    async def use() -> None:
        engine = open_async_engine(place.database_url, connections=1)
        store = PostgresStore(engine)
        await store.load(session, {})
        event.listen(
            engine.sync_engine,
            "before_cursor_execute",
            lambda conn, cursor, statement, *_: statements.append(statement.split()[0]),
        )
        await store.load(session, {})
        await store.save(session, InteractionState(), {})
        await store.save(session, InteractionState(revision=1), {})
        await store.delete(session, {})
        await engine.dispose()

    asyncio.run(use())

    assert statements == ["SELECT", "INSERT", "UPDATE", "DELETE"]


def test_a_save_that_redis_did_twice_counts_once(place: World, session: str) -> None:
    """As after an answer that was lost, when the client tries again."""
    with redis.Redis.from_url(place.redis_url) as client:
        save = client.register_script(SAVE_STATE)
        answers = [save(keys=[state_key(session)], args=[0, "{}", "a", 60]) for _ in range(2)]
        rival = save(keys=[state_key(session)], args=[0, "{}", "b", 60])

        assert (answers, rival) == ([1, 1], 0)
        assert client.hget(state_key(session), "revision") == b"1"


def test_redis_forgets_a_session_when_its_time_is_over(place: World, session: str) -> None:
    key = state_key(session)

    async def save(ttl: int | None, revision: int) -> None:
        async with RedisStore(place.redis_url, ttl=ttl) as store:
            await store.save(session, InteractionState(revision=revision), {})

    asyncio.run(save(100, 0))
    assert 90 < place.truth.redis.ttl(key) <= 100
    asyncio.run(save(None, 1))
    assert place.truth.redis.ttl(key) == -1
    asyncio.run(save(100, 2))
    assert 90 < place.truth.redis.ttl(key) <= 100


def test_a_client_that_decodes_is_refused(place: World) -> None:
    with pytest.raises(ConfigurationError, match="decode_responses"):
        RedisStore(place.truth.redis)
    with pytest.raises(ConfigurationError, match="redis://"):
        RedisStore("localhost")


def python(program: str) -> str:
    """Run a program in a Python of its own."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


def test_stores_and_streams_load_nothing_heavy(place: World, session: str) -> None:
    heavy = ["sqlalchemy", "psycopg", "alembic", "celery", "typer", "rich", "structlog", "pytest"]
    said = python(
        "import sys\n"
        "from turnline_workers import Assistant, Session, testing\n"
        "from turnline_workers.stores import RedisStore\n"
        "from turnline_workers.streams import RedisStream\n"
        f"url = {place.redis_url!r}\n"
        f"Session({session!r}, assistant=Assistant('builtin'), store=RedisStore(url, ttl=60),"
        " events=RedisStream(url)).send_sync('Hello!')\n"
        f"print([m for m in {heavy!r} if m in sys.modules])"
    )

    assert said == "[]"


def test_the_light_install_says_what_postgres_needs() -> None:
    said = python(
        "import sys\n"
        "sys.modules['sqlalchemy'] = None\n"
        "from turnline_workers.stores import *\n"
        "assert RedisStore\n"
        "try:\n"
        "    from turnline_workers.stores import PostgresStore\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)"
    )

    assert said.startswith("ConfigurationError PostgresStore needs")
    assert "pip install 'turnline[workers]'" in said

"""P1, P5, P9: servers go and come back; workers do so by themselves, and nothing is lost."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from harness.backends import Backends, run_backends
from harness.builders import a_session, lasting
from harness.fold import fold
from harness.laws import assert_dense
from harness.waiting import until
from harness.world import World

from turnline_producer import Producer
from turnline_schemas.errors import RedisUnavailableError, UnsafeRedisError
from turnline_workers.embedded.server import Server

SHORT = {"lease": 3, "sweep": 0.3}


@pytest.fixture(scope="module")
def backends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backends]:
    """Servers of this module's own, to be stopped and started."""
    with run_backends(tmp_path_factory.mktemp("outages") / "data") as running:
        if None in (running.postgres, running.redis, running.broker):
            pytest.skip("these tests stop servers, and the ones to use are somebody else's")
        yield running


def server(world: World, name: str) -> Server:
    """Return a server that may be stopped."""
    found = getattr(world.backends, name)
    assert isinstance(found, Server)
    return found


@pytest.mark.parametrize("name", ["redis", "postgres", "broker"])
def test_turns_survive_a_restart_of_a_server(world: World, name: str) -> None:
    sessions = [a_session(name) for _ in range(5)]
    world.workers(2, **SHORT)
    for session in sessions:
        world.producer.enqueue(session, "1", context=lasting(2, deltas=40), confirm=True)
        world.producer.enqueue(session, "2", confirm=True)
    until(lambda: world.truth.ends() == 0, what="all are played")

    server(world, name).restart()
    for session in sessions:
        world.enqueue(session, "3")
    until(lambda: world.truth.ends() == 15, seconds=40, what="all turns end")
    until(lambda: world.truth.outbox() == 0, what="all ends are published")

    for session in sessions:
        assert_consistent(world, session, turns=3)


@pytest.mark.parametrize("name", ["redis", "postgres"])
def test_a_server_that_is_away_for_longer_than_a_lease_loses_nothing(
    world: World, name: str
) -> None:
    session = a_session(name)
    world.workers(2, lease=1, sweep=0.3)
    turn = world.enqueue(session, context=lasting(1.5, deltas=30))
    until(lambda: "text.delta" in world.truth.types(session, turn), what="it streams")

    server(world, name).stop()
    for worker in world.started:
        worker.says("sweep.interrupted", seconds=20)
    for _ in range(3):
        noticed = [worker.said().count("sweep.interrupted") for worker in world.started]
        until(
            lambda seen=noticed: all(
                worker.said().count("sweep.interrupted") > number
                for worker, number in zip(world.started, seen, strict=True)
            ),
            seconds=20,
            what="the workers go on trying",
        )
    server(world, name).start()
    until(lambda: reachable(world) and world.truth.ended(session, turn), seconds=40, what="it ends")
    after = world.enqueue(session)
    until(lambda: world.truth.ended(session, after), seconds=40, what="the session goes on")
    until(lambda: world.truth.outbox() == 0, what="all ends are published")

    assert_consistent(world, session, turns=2)


def test_without_the_broker_turns_are_accepted_and_played_when_it_is_back(world: World) -> None:
    sessions = [a_session() for _ in range(3)]
    world.workers(2, **SHORT)

    server(world, "broker").stop()
    first, *others = [world.producer.enqueue(each, "Hello!") for each in sessions]
    world.started[0].says("sweep.interrupted", seconds=20)
    waiting = world.truth.ends()
    server(world, "broker").start()
    until(lambda: world.truth.ends() == 3, seconds=40, what="all are played, without a new bell")

    assert waiting == 0
    for receipt in (first, *others):
        assert (receipt.status, receipt.rung) == ("enqueued", False)
        assert "Broker at redis://" in str(receipt.ring_error)
        assert "TURNLINE_BROKER_URL" in str(receipt.ring_error)
    for session in sessions:
        assert_consistent(world, session, turns=1)


@pytest.mark.parametrize("name", ["redis", "postgres", "broker"])
def test_a_worker_ends_in_time_while_a_server_is_away(world: World, name: str) -> None:
    session = a_session(name)
    (worker,) = world.workers(1, grace=1, **SHORT)
    turn = world.enqueue(session, context=lasting(60))
    until(lambda: "text.delta" in world.truth.types(session, turn), what="it streams")
    server(world, name).stop()

    worker.ask_to_end()
    code = worker.wait(seconds=20)

    assert code == 0


def test_a_broker_that_lost_everything_loses_nothing(world: World) -> None:
    sessions = [a_session() for _ in range(5)]
    for session in sessions:
        world.enqueue(session)

    world.broker.flushall()
    world.workers(1, **SHORT)
    until(lambda: world.truth.ends() == 5, what="all are played")

    for session in sessions:
        assert_consistent(world, session, turns=1)


def test_confirmed_turns_survive_the_loss_of_redis(world: World) -> None:
    session = a_session()
    world.workers(1, slots=1, **SHORT)
    blocker = a_session("blocker")
    world.producer.enqueue(blocker, "!", context=lasting(2), confirm=True)
    turns = [world.producer.enqueue(session, str(n), confirm=True).turn for n in range(3)]

    world.truth.redis.flushall()
    until(lambda: world.truth.ends() == 4, seconds=30, what="all are played")
    again = world.enqueue(session, "3")
    until(lambda: world.truth.ended(session, again), what="the session goes on")

    assert [row["turn"] for row in world.truth.turns(session)] == [*turns, again]
    assert {row["status"] for row in world.truth.turns(session)} == {"completed"}
    assert fold(world.truth.log(session)) == world.truth.transcript(session)


def test_a_postgres_that_takes_no_writes_for_a_while_loses_nothing(world: World) -> None:
    session = a_session()
    world.workers(1, **SHORT)
    world.tolerated = ["Traceback", "task.raised", "sweep.failed"]
    read_only(world, on=True)

    turn = world.enqueue(session)
    silent = "SELECT 1 FROM turnline.workers WHERE beat_at < now() - interval '2 s'"
    until(lambda: world.truth.rows(silent), what="the worker could not beat")
    read_only(world, on=False)
    until(lambda: world.truth.ended(session, turn), seconds=30, what="the turn is played")

    assert world.truth.dead_letters(session) == []
    assert_consistent(world, session, turns=1)
    beating = "SELECT 1 FROM turnline.workers WHERE beat_at > now() - interval '3 s'"
    until(lambda: world.truth.rows(beating), what="the worker beats again")


def test_a_worker_waits_for_servers_that_are_not_up_yet(world: World) -> None:
    session = a_session()
    world.enqueue(session)
    for name in ("postgres", "redis"):
        server(world, name).stop()

    worker = world.worker(ready=False, **SHORT)
    worker.says("worker.waiting", seconds=20)
    for name in ("redis", "postgres"):
        server(world, name).start()
    worker.wait_ready(world.database_url)
    until(lambda: world.truth.ends() == 1, what="the turn is played")

    assert worker.said().count("Traceback") == 0


def test_a_redis_that_may_evict_turns_is_refused(world: World) -> None:
    world.truth.redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with world.new_producer() as producer, pytest.raises(UnsafeRedisError) as refused:
            producer.enqueue(a_session(), "Hello!")
        worker = world.worker(ready=False)
        code = worker.wait()
    finally:
        world.truth.redis.config_set("maxmemory-policy", "noeviction")

    assert "'allkeys-lru'" in str(refused.value)
    assert "config set maxmemory-policy noeviction" in str(refused.value)
    assert code == 1
    assert "config set maxmemory-policy noeviction" in worker.said()


def test_without_redis_enqueue_says_what_to_check_and_hides_the_password(tmp_path: Path) -> None:
    with (
        Producer("redis://me:secret@127.0.0.1:1/0") as producer,
        pytest.raises(RedisUnavailableError, match="TURNLINE_REDIS_URL") as refused,
    ):
        producer.enqueue(a_session(), "Hello!")

    assert "secret" not in str(refused.value)


def assert_consistent(world: World, session: str, *, turns: int) -> None:
    rows, log = world.truth.turns(session), world.truth.log(session)
    assert [row["status"] for row in rows] == ["completed"] * turns
    ends = [event["turn"] for event in log if event["type"] == "turn.completed"]
    assert ends == [row["turn"] for row in rows]
    assert_dense(log)
    assert fold(log) == world.truth.transcript(session)
    assert len(world.truth.messages(session)) == 2 * turns


def reachable(world: World) -> bool:
    try:
        return bool(world.truth.clock())
    except psycopg.OperationalError:
        return False


def read_only(world: World, *, on: bool) -> None:
    """Make Postgres refuse writes, as a standby does, or accept them again."""
    with world.backends.admin() as admin:
        admin.execute(f'ALTER DATABASE "{world.database}" SET default_transaction_read_only = {on}')
    world.truth.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

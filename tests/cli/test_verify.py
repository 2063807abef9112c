"""``turnline verify``: it says so when all is well, and names every rule that is broken."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness.backends import Backends
from harness.shell import Shell
from harness.waiting import until
from harness.world import World, a_world

OLD = "interval '1 hour'"

IN_POSTGRES = {
    "P2 turns are played in order": "UPDATE turnline.turns SET fence = 1 WHERE session = %s",
    "P2 positions decide the order": (
        "UPDATE turnline.turns SET position = '1-1' WHERE session = %s AND ordinal = 2"
    ),
    "P2 no turn is overtaken": (
        "UPDATE turnline.turns SET status = 'waiting', settled_at = NULL"
        " WHERE session = %s AND ordinal = 1"
    ),
    "P2 the transcript follows the order of turns": (
        "UPDATE turnline.messages SET turn = 't-1' WHERE session = %s AND index = 4"
    ),
    "P5 the transcript is dense": (
        "DELETE FROM turnline.messages WHERE session = %s AND index = 2"
    ),
    "P5 every settled turn has its messages, once": (
        "UPDATE turnline.messages SET role = 'assistant' WHERE session = %s AND index = 3"
    ),
    "P6 replaying the log gives the transcript": (
        "UPDATE turnline.messages SET content = '\"forged\"' WHERE session = %s AND index = 2"
    ),
    "P5 the terminal event tells the stored outcome": (
        "UPDATE turnline.turns SET status = 'cancelled' WHERE session = %s AND ordinal = 2"
    ),
    "P9 no session is stuck": (
        f"UPDATE turnline.sessions SET status = 'runnable', runnable_since = now() - {OLD},"
        f" updated_at = now() - {OLD} WHERE session = %s"
    ),
    "P9 no turn is stuck": (
        f"UPDATE turnline.turns SET outbox = '{{}}', settled_at = now() - {OLD}"
        " WHERE session = %s AND ordinal = 1"
    ),
}

IN_REDIS: dict[str, Callable[[World, str], object]] = {
    "P6 seq is dense": lambda world, session: world.truth.redis.xdel(log(session), "3-0"),
    "P6 one terminal event per turn that started": lambda world, session: copy_last(world, session),
    "P6 every event can be read": lambda world, session: append(world, session, "{garbage"),
    "P9 no message is stuck in an inbox": lambda world, session: stick(world, session),
}


@pytest.fixture(scope="module")
def rest(backends: Backends, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world where one session per rule has played two turns, and no worker runs any more."""
    directory = tmp_path_factory.mktemp("rest")
    with a_world(backends, directory, redis_db=3, failed=lambda: False) as world:
        (worker,) = world.workers(1)
        for number in range(len(IN_POSTGRES) + len(IN_REDIS)):
            for turn in ("t-1", "t-2"):
                world.enqueue(f"hurt-{number}", turn=turn)
        until(lambda: world.truth.ends() == 2 * (number + 1), what="all turns end")
        until(lambda: world.truth.outbox() == 0, what="all ends are published")
        worker.ask_to_end()
        assert worker.wait() == 0
        # What ended a moment ago may still be on its way into the log.
        world.truth.change("UPDATE turnline.turns SET settled_at = settled_at - interval '9 s'")
        assert Shell(world, directory)("verify", "--all").returncode == 0
        yield world


def test_verify_says_that_every_promise_holds(turnline: Shell) -> None:
    turnline("send", "verified", "Hello!", "--follow")

    assert turnline("verify", "verified").stdout.startswith("every promise holds: 1 sessions")
    assert turnline("verify", "--all").returncode == 0


@pytest.mark.parametrize(("number", "rule"), list(enumerate([*IN_POSTGRES, *IN_REDIS])))
def test_verify_names_the_broken_rule(rest: World, tmp_path: Path, number: int, rule: str) -> None:
    session, turnline = f"hurt-{number}", Shell(rest, tmp_path)
    if rule in IN_POSTGRES:
        rest.truth.change(IN_POSTGRES[rule], session)
    else:
        IN_REDIS[rule](rest, session)

    done = turnline("verify", session)

    assert done.returncode == 1
    assert f"{rule} is broken in {session}" in done.stdout


def test_verify_sees_messages_of_a_session_that_no_worker_has_met(
    rest: World, tmp_path: Path
) -> None:
    stick(rest, "stranger")
    rest.truth.redis.zadd("tl:rung:3", {"stranger": 1})

    done = Shell(rest, tmp_path)("verify", "--all")
    alone = Shell(rest, tmp_path)("verify", "stranger")

    assert "P9 no message is stuck in an inbox is broken in stranger" in done.stdout
    assert "is broken in stranger" in alone.stdout
    assert (done.returncode, alone.returncode) == (1, 1)


def log(session: str) -> str:
    return f"tl:{{{session}}}:log"


def stick(world: World, session: str) -> None:
    world.truth.redis.delete(f"tl:{{{session}}}:inbox")
    world.truth.redis.xadd(f"tl:{{{session}}}:inbox", {"m": "{}"}, id="1-1")


def append(world: World, session: str, event: str) -> None:
    top = world.truth.redis.hincrby(f"tl:{{{session}}}:meta", "top", 1)
    world.truth.redis.xadd(log(session), {"d": event}, id=f"{top}-0")


def copy_last(world: World, session: str) -> None:
    ((entry, fields),) = world.truth.redis.xrevrange(log(session), count=1)
    seq = int(entry.split("-")[0])
    append(world, session, fields["d"].replace(f'"seq":{seq}', f'"seq":{seq + 1}'))

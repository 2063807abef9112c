"""P5, P6, P9: whoever dies, and whenever, every turn has one outcome and readers can follow."""

from harness.builders import a_session, lasting
from harness.fold import TERMINAL, fold
from harness.laws import assert_dense
from harness.truth import Row
from harness.waiting import until
from harness.worker_process import WorkerProcess
from harness.world import World

SHORT = {"lease": 1.5, "sweep": 0.3}
POINTS = ("before_trim", "after_claim_1", "before_commit", "after_commit", "after_publish")


def test_turns_of_a_killed_worker_are_played_by_another_within_lease_and_sweep(
    world: World,
) -> None:
    sessions = [a_session() for _ in range(6)]
    (doomed,) = world.workers(1)
    turns = {each: world.enqueue(each, context=lasting(3, deltas=60)) for each in sessions}
    for session, turn in turns.items():
        until(lambda s=session, t=turn: streams(world, s, t), what=f"{session} streams")
    world.workers(1)

    killed_at = world.truth.clock()
    doomed.kill()
    until(lambda: all_have(world, 2), seconds=20, what="all turns are tried again")
    seconds = (world.truth.clock() - killed_at).total_seconds()
    until(lambda: world.truth.unfinished() == 0, what="all turns end")

    assert seconds < 10 + 2, "lease and sweep, and a little for a slow machine"
    for session, turn in turns.items():
        assert_second_attempt_took_over(world, session, turn)


def test_a_worker_that_dies_at_any_point_loses_and_doubles_nothing(world: World) -> None:
    sessions = [a_session(point) for point in POINTS]
    world.faults = ("before_trim", "after_claim", "around_commit", "after_publish")
    workers = world.workers(len(POINTS) + 1, assistants="faults:bystander", **SHORT)

    for number, session in enumerate(sessions, start=1):
        world.enqueue(session, turn="one")
        world.enqueue(session, turn="two")
        until(lambda n=number: died(workers) == n, what=f"a worker dies at {session}")
    until(lambda: world.truth.unfinished() == 0, seconds=30, what="all turns end")
    until(lambda: world.truth.outbox() == 0, seconds=30, what="all ends are published")

    for session in sessions:
        log = world.truth.log(session)
        assert_dense(log)
        assert statuses(world.truth.turns(session)) == [("one", "completed"), ("two", "completed")]
        assert [event["turn"] for event in log if event["type"] in TERMINAL] == ["one", "two"]
        accepted = [event["turn"] for event in log if event["type"] == "turn.accepted"]
        assert accepted == ["one", "two"]
        assert fold(log) == world.truth.transcript(session)
        assert len(world.truth.messages(session)) == 4


def test_a_turn_that_takes_its_worker_down_too_often_is_dead_and_the_session_goes_on(
    world: World,
) -> None:
    session = a_session()
    settings = {"assistants": "acting:deadly", "max_attempts": 2, **SHORT}
    deadly = world.enqueue(session, "Boo!", assistant="deadly")
    harmless = world.enqueue(session, "Hello!")

    for number in (1, 2):
        world.worker(ready=False, **settings)
        until(lambda n=number: died(world.started) == n, seconds=30, what="a worker dies")
    world.worker(**settings)
    until(lambda: world.truth.ended(session, harmless), what="the next turn ends")

    turns = world.truth.turns(session)
    assert statuses(turns) == [(deadly, "dead"), (harmless, "completed")]
    assert turns[0]["attempts"] == 3
    assert turns[0]["error"]["code"] == "attempts_spent"
    assert turns[0]["message"]["content"] == "Boo!"
    (dead,) = [each for each in world.truth.events(session, deadly) if each["type"] in TERMINAL]
    assert (dead["type"], dead["data"]["attempts"]) == ("turn.dead", 2)
    assert fold(world.truth.log(session)) == world.truth.transcript(session)


def test_every_attempt_that_died_is_told_to_readers(world: World) -> None:
    session = a_session("after_claim_2")
    world.faults = ("after_claim",)
    world.workers(2, assistants="faults:bystander", **SHORT)
    turn = world.enqueue(session, context=lasting(2, deltas=40))
    until(lambda: streams(world, session, turn), what="it streams")
    first = world.owner(session)

    first.stop()
    until(lambda: died(world.started) == 1, what="the second attempt dies before its first event")
    first.cont()
    until(lambda: world.truth.ended(session, turn), what="the third attempt ends the turn")
    until(lambda: world.truth.outbox() == 0, what="its end is published")

    log = world.truth.log(session)
    told = [each["data"]["attempt"] for each in log if each["type"] == "attempt.superseded"]
    assert world.truth.turn(session, turn)["attempts"] == 3
    assert sorted(set(told)) == [1, 2]
    assert fold(log) == world.truth.transcript(session)


def assert_second_attempt_took_over(world: World, session: str, turn: str) -> None:
    row, events = world.truth.turn(session, turn), world.truth.events(session, turn)
    assert (row["status"], row["attempts"]) == ("completed", 2)
    attempts = [event["attempt"] for event in events]
    assert attempts == sorted(attempts)
    second = [event for event in events if event["attempt"] == 2]
    assert second[0]["type"] == "attempt.superseded"
    assert second[0]["data"]["attempt"] == 1
    assert second[1]["type"] == "turn.started"
    assert_dense(world.truth.log(session))
    assert fold(world.truth.log(session)) == world.truth.transcript(session)
    assert [each["role"] for each in world.truth.messages(session)] == ["user", "assistant"]


def streams(world: World, session: str, turn: str) -> bool:
    return "text.delta" in world.truth.types(session, turn)


def all_have(world: World, attempts: int) -> bool:
    rows = world.truth.rows("SELECT attempts FROM turnline.turns")
    return all(row["attempts"] == attempts for row in rows)


def died(workers: list[WorkerProcess]) -> int:
    return sum(not worker.alive for worker in workers)


def statuses(turns: list[Row]) -> list[tuple[str, str]]:
    return [(row["turn"], row["status"]) for row in turns]

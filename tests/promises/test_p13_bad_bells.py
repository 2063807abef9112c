"""P13: whatever stands in the queue of bells, the worker lives and goes on."""

import base64
import json

import pytest
from harness.builders import a_session
from harness.lossy import QUEUE
from harness.truth import Row
from harness.waiting import until
from harness.world import World


def a_bell(session: str, **changes: object) -> Row:
    """Return a bell as it stands in the queue, with ``changes`` to its envelope."""
    body = base64.b64encode(json.dumps([[], {"session": session}, {}]).encode()).decode()
    return {
        "body": body,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": "turnline.play", "id": "bell-1", "argsrepr": ""},
        "properties": {
            "correlation_id": "bell-1",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": QUEUE},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": "tag-1",
        },
    } | changes


ODD: dict[str, Row] = {
    "body-not-json": {"body": base64.b64encode(b"Hello!").decode()},
    "pickle": {"content-type": "application/x-python-serialize"},
    "unknown-content-type": {"content-type": "text/smell"},
    "unknown-encoding": {"content-encoding": "utf-7000"},
    "no-headers": {"headers": {}},
    "headers-null": {"headers": None},
    "unknown-task": {"headers": {"task": "turnline.dance", "id": "bell-1"}},
    "eta": {"headers": {"task": "turnline.play", "id": "bell-1", "eta": "2999-01-01T00:00:00"}},
    "wrong-eta": {"headers": {"task": "turnline.play", "id": "bell-1", "eta": "soon"}},
    "expired": {
        "headers": {"task": "turnline.play", "id": "bell-1", "expires": "2001-01-01T00:00:00"}
    },
}

POISON = {
    "not-json": b"Hello!",
    "a-body-of-another-shape": json.dumps(
        a_bell("ses", body=base64.b64encode(b'"Hello!"').decode())
    ).encode(),
    "a-task-without-id": json.dumps(a_bell("ses", headers={"task": "turnline.play"})).encode(),
}


@pytest.mark.parametrize("changes", ODD.values(), ids=ODD)
def test_an_odd_bell_does_no_harm(stage: World, changes: Row) -> None:
    stage.tolerated = ["Traceback", "task.raised"]

    stage.broker.lpush(QUEUE, json.dumps(a_bell(a_session(), **changes)))

    assert_workers_go_on(stage)


@pytest.mark.parametrize("raw", [b"{}", b'{"body":"","headers":{}}'], ids=["object", "no-body"])
def test_an_envelope_that_holds_nothing_does_no_harm(stage: World, raw: bytes) -> None:
    stage.tolerated = ["Traceback", "task.raised"]

    stage.broker.lpush(QUEUE, raw)

    assert_workers_go_on(stage)


@pytest.mark.parametrize("raw", POISON.values(), ids=POISON)
def test_one_bad_bell_does_not_take_down_one_worker_after_the_other(
    world: World, raw: bytes
) -> None:
    world.tolerated = ["Traceback", "task.raised"]
    world.worker()

    world.broker.lpush(QUEUE, raw)

    assert_workers_go_on(world, seconds=5)


def assert_workers_go_on(world: World, *, seconds: float = 15) -> None:
    until(lambda: world.broker.llen(QUEUE) == 0, seconds=seconds, what="the bell is taken")
    for _ in range(2 * len(world.started)):
        session = a_session()
        turn = world.enqueue(session)
        until(
            lambda s=session, t=turn: world.truth.ended(s, t),
            seconds=seconds,
            what="another turn is played",
        )
    for worker in world.started:
        assert worker.alive
        assert "Connection to broker lost" not in worker.said()

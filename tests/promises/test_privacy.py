"""What people say is in no log, whatever goes wrong with the message that says it."""

import base64
import json

import pytest
from harness.builders import a_session, an_entry, lasting
from harness.lossy import QUEUE
from harness.truth import Row
from harness.waiting import until
from harness.world import World

SECRET = "my dog is called Rex"

ENVELOPES: dict[str, Row] = {
    "unknown-task": {"task": "turnline.dance", "id": "one"},
    "no-id": {"task": "turnline.enqueue"},
    "wrong-eta": {"task": "turnline.enqueue", "id": "one", "eta": "soon"},
    "not-of-celery": {},
}


def an_enqueue_task(headers: Row, body: object) -> str:
    """Return a task message as it stands in the broker's queue."""
    return json.dumps(
        {
            "body": base64.b64encode(json.dumps(body).encode()).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": headers,
            "properties": {
                "delivery_info": {"exchange": "", "routing_key": QUEUE},
                "body_encoding": "base64",
                "delivery_tag": "tag-1",
            },
        }
    )


@pytest.mark.parametrize("headers", ENVELOPES.values(), ids=ENVELOPES)
def test_a_malformed_task_is_not_logged_with_its_text(stage: World, headers: Row) -> None:
    stage.tolerated = ["Traceback"]
    arguments = {"session": a_session(), "message": SECRET}

    stage.broker.lpush(QUEUE, an_enqueue_task(headers, [[], arguments, {}]))

    assert_nothing_said(stage)


def test_a_dead_letter_is_not_logged_with_its_text(stage: World) -> None:
    session = a_session()
    entries = [
        SECRET.encode(),
        json.dumps([SECRET]).encode(),
        json.dumps({"kind": SECRET}).encode(),
        an_entry(session, message=SECRET),
        an_entry(session, assistant=[SECRET]),
        an_entry(SECRET),
        an_entry(session, kind="cancel", reason=f"{SECRET}\x00"),
    ]

    for entry in entries:
        stage.truth.redis.xadd(f"tl:{{{session}}}:inbox", {"d": entry})
    stage.ring(session)
    until(lambda: len(stage.truth.dead_letters(session)) == len(entries), what="all are buried")

    assert_nothing_said(stage)


def test_turns_are_not_logged_with_their_text(stage: World) -> None:
    session = a_session()
    ends = [
        stage.enqueue(session, SECRET),
        stage.enqueue(session, SECRET, context={"builtin": {"fail_after": 1}}),
        stage.enqueue(session, SECRET, assistant="tripping", context={"a": SECRET}),
        stage.enqueue(session, SECRET, assistant="broken"),
        stage.enqueue(session, SECRET, assistant="nobody"),
        stage.enqueue(session, SECRET, context=lasting(60)),
    ]
    until(lambda: stage.truth.status(session, ends[-1]) == "playing", what="the last one plays")
    stage.producer.cancel(session, ends[-1], reason=SECRET)
    until(lambda: stage.truth.ended(session, ends[-1]), what="all have ended")

    assert_nothing_said(stage)


def assert_nothing_said(stage: World) -> None:
    for _ in stage.started * 2:
        session = a_session()
        turn = stage.enqueue(session)
        until(lambda s=session, t=turn: stage.truth.ended(s, t), what="workers go on")
    for worker in stage.started:
        assert worker.alive
        assert SECRET not in worker.said()

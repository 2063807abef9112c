"""P13: whatever is written into an inbox, the worker lives and the session goes on."""

import json

import pytest
from harness.builders import a_session, a_turn, an_entry
from harness.fold import TERMINAL, fold
from harness.truth import Row
from harness.waiting import until
from harness.world import World

from turnline_schemas.errors import RedisUnavailableError

DEEP = b'{"kind":"turn","context":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


def the_inbox(session: str) -> str:
    return f"tl:{{{session}}}:inbox"


UNREADABLE = {
    "not-json": (b"Hello!", "not_json"),
    "empty": (b"", "not_json"),
    "not-utf-8": (b'{"kind":"\xff\xfe"}', "not_json"),
    "nested-too-deeply": (DEEP, "not_json"),
    "a-number-too-long": (b'{"kind":' + b"9" * 10_000 + b"}", "not_json"),
    "huge": (b'"' + b"x" * 300_000 + b'"', "payload_too_large"),
    "a-list": (b"[1,2,3]", "not_an_object"),
    "null": (b"null", "not_an_object"),
    "no-kind": (b"{}", "unknown_kind"),
    "unknown-kind": (b'{"kind":"dance"}', "unknown_kind"),
    "kind-of-wrong-type": (b'{"kind":["turn"]}', "unknown_kind"),
}

WRONG_FIELDS: dict[str, Row] = {
    "no-message": {"message": None},
    "message-a-string": {"message": "Hello!"},
    "wrong-role": {"message": {"role": "assistant", "content": "Hello!"}},
    "blank": {"message": {"role": "user", "content": "  "}},
    "no-parts": {"message": {"role": "user", "content": {"text": "Hello!", "parts": []}}},
    "unknown-part": {"message": {"role": "user", "content": {"parts": [{"type": "smell"}]}}},
    "nul-in-text": {"message": {"role": "user", "content": "Hel\x00lo"}},
    "nul-in-context": {"context": {"a": [{"\x00": 1}]}},
    "nul-in-user": {"user": "\x00"},
    "surrogate-in-text": {"message": {"role": "user", "content": "\ud800"}},
    "surrogate-in-context": {"context": {"a": "\udfff"}},
    "surrogate-in-a-part": {
        "message": {"role": "user", "content": {"parts": [{"type": "data", "data": "\ud800"}]}}
    },
    "nan-in-context": {"context": {"a": float("nan")}},
    "infinity-in-context": {"context": {"a": [float("inf")]}},
    "nan-in-a-part": {
        "message": {"role": "user", "content": {"parts": [{"type": "data", "x": float("nan")}]}}
    },
    "nested-deeply": {"context": {"a": json.loads("[" * 100 + "]" * 100)}},
    "turn-id-of-wrong-type": {"turn": 7},
    "turn-id-with-blank": {"turn": "a b"},
    "turn-id-too-long": {"turn": "x" * 129},
    "context-a-list": {"context": []},
    "priority-too-high": {"priority": 101},
    "not-before-no-time": {"not_before": "soon"},
    "not-before-without-zone": {"not_before": "2026-11-22T15:00:00"},
    "wrong-version": {"v": 2},
    "cancel-without-turn": {"kind": "cancel", "turn": None},
}

ODD_BUT_VALID: dict[str, Row] = {
    "long-ago": {"not_before": "1066-10-14T09:00:00+00:00"},
    "a-big-number": {"context": {"a": 10**400}},
    "unknown-fields": {"smell": "of roses"},
    "many-scripts": {"message": {"role": "user", "content": "שלום 👋 \u202e\ufeff\u2028"}},
    "nested-a-bit": {"context": {"a": json.loads("[" * 50 + "]" * 50)}},
}


@pytest.mark.parametrize(("entry", "reason"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_a_dead_letter(stage: World, entry: bytes, reason: str) -> None:
    session = a_session()

    stage.truth.redis.xadd(the_inbox(session), {"d": entry})

    assert_buried(stage, session, reason, entry)


@pytest.mark.parametrize("fields", WRONG_FIELDS.values(), ids=WRONG_FIELDS)
def test_a_turn_with_a_wrong_field_is_a_dead_letter(stage: World, fields: Row) -> None:
    session = a_session()
    entry = an_entry(session, **fields)

    stage.truth.redis.xadd(the_inbox(session), {"d": entry})

    assert_buried(stage, session, "invalid_fields", entry)


def test_what_postgres_cannot_store_is_a_dead_letter(stage: World) -> None:
    session = a_session()
    entry = an_entry(session, kind="cancel", reason="a\x00b")

    stage.truth.redis.xadd(the_inbox(session), {"d": entry})

    assert_buried(stage, session, "not_storable", b"")


@pytest.mark.parametrize("fields", ODD_BUT_VALID.values(), ids=ODD_BUT_VALID)
def test_what_is_odd_and_valid_is_played(stage: World, fields: Row) -> None:
    session = a_session()
    turn = a_turn(session, **fields)

    stage.truth.redis.xadd(the_inbox(session), {"d": json.dumps(turn)})
    stage.ring(session)
    until(lambda: stage.truth.ended(session, turn["turn"]), what="the turn ends")

    assert stage.truth.status(session, turn["turn"]) == "completed"
    assert fold(stage.truth.log(session)) == stage.truth.transcript(session)


@pytest.mark.parametrize(
    ("assistant", "context", "code", "said"),
    [
        ("tripping", {}, "step_error", "step 'stage.trip' raised LookupError"),
        ("broken", {}, "step_error", "step 'core.run-model' raised ZeroDivisionError"),
        ("default", {"builtin": {"fail_after": 2}}, "model_error", "fails after 2 deltas"),
        ("default", {"builtin": {"smell": 1}}, "model_error", "context.builtin: smell"),
        pytest.param(
            "nobody",
            {},
            "assistant_not_found",
            "no assistant 'nobody' here; known:",
        ),
    ],
    ids=["a-step-raises", "a-model-raises", "a-model-fails", "a-wrong-script", "nobody"],
)
def test_a_turn_that_cannot_be_played_fails_visibly_and_the_session_goes_on(
    stage: World, assistant: str, context: Row, code: str, said: str
) -> None:
    session = a_session()
    turn = stage.enqueue(session, assistant=assistant, context=context)
    until(lambda: stage.truth.ended(session, turn), what="the turn ends")

    after = stage.enqueue(session)
    until(lambda: stage.truth.ended(session, after), what="the session goes on")
    until(lambda: stage.truth.outbox() == 0, what="its end is published")

    (failed,) = [each for each in stage.truth.events(session, turn) if each["type"] in TERMINAL]
    assert (failed["type"], failed["data"]["code"]) == ("turn.failed", code)
    assert said in failed["data"]["message"]
    assert stage.truth.turn(session, turn)["error"] == failed["data"]
    assert fold(stage.truth.log(session)) == stage.truth.transcript(session)


def test_an_entry_without_a_message_is_a_dead_letter(stage: World) -> None:
    session = a_session()

    stage.truth.redis.xadd(the_inbox(session), {"data": "Hello!", "more": "x"})

    assert_buried(stage, session, "no_message", b"")


def test_a_message_for_another_session_is_a_dead_letter(stage: World) -> None:
    session, other = a_session(), a_session()
    entry = an_entry(other)

    stage.truth.redis.xadd(the_inbox(session), {"d": entry})

    assert_buried(stage, session, "wrong_session", entry)
    assert stage.truth.turns(other) == []


def test_an_inbox_that_is_no_stream_is_put_aside(stage: World) -> None:
    session = a_session()
    stage.truth.redis.set(the_inbox(session), "Hello!")

    stage.ring(session)
    until(lambda: stage.truth.dead_letters(session), what="it is put aside")

    assert stage.truth.dead_letters(session)[0]["reason"] == "inbox_wrong_type"
    assert_goes_on(stage, session)


def test_a_session_whose_inbox_is_no_stream_mends_itself_when_somebody_enqueues(
    stage: World,
) -> None:
    session = a_session()
    stage.truth.redis.set(the_inbox(session), "junk")
    with pytest.raises(RedisUnavailableError, match="WRONGTYPE"):
        stage.enqueue(session)

    until(lambda: not stage.truth.redis.exists(the_inbox(session)), what="it is put aside")
    turn = stage.enqueue(session)
    until(lambda: stage.truth.ended(session, turn), what="the session goes on")


def test_an_inbox_whose_ids_are_used_up_begins_again(stage: World) -> None:
    session = a_session()
    first = stage.enqueue(session)
    until(lambda: stage.truth.ended(session, first), what="a turn is played")
    last = 2**64 - 1
    stage.truth.redis.xadd(the_inbox(session), {"d": "junk"}, id=f"{last}-{last}")
    stage.ring(session)
    until(lambda: stage.truth.dead_letters(session), what="it is a dead letter")
    until(lambda: not stage.truth.redis.exists(the_inbox(session)), what="the stream is gone")

    turns = [stage.enqueue(session, str(number)) for number in range(3)]
    until(lambda: stage.truth.ended(session, turns[-1]), what="the session goes on")

    assert [row["turn"] for row in stage.truth.turns(session)] == [first, *turns]


def test_bad_and_good_entries_of_one_inbox_are_told_apart(world: World) -> None:
    session = a_session()
    bad = [entry for entry, _ in UNREADABLE.values()]
    good = [a_turn(session) for _ in bad]
    for entry, turn in zip(bad, good, strict=True):
        world.truth.redis.xadd(the_inbox(session), {"d": entry})
        world.truth.redis.xadd(the_inbox(session), {"d": json.dumps(turn)})

    world.worker()
    world.ring(session)
    until(lambda: len(world.truth.messages(session)) == 2 * len(good), what="all turns are played")

    assert [row["turn"] for row in world.truth.turns(session)] == [turn["turn"] for turn in good]
    letters = world.truth.dead_letters(session)
    assert [letter["reason"] for letter in letters] == [reason for _, reason in UNREADABLE.values()]


def assert_buried(stage: World, session: str, reason: str, entry: bytes) -> None:
    stage.ring(session)
    until(lambda: stage.truth.dead_letters(session), seconds=5, what="it is a dead letter")
    (letter,) = stage.truth.dead_letters(session)
    assert letter["reason"] == reason
    assert letter["detail"]
    if entry:
        assert entry.startswith(letter["d"].encode("utf-8", "surrogateescape")[:1000])
    assert_goes_on(stage, session)


def assert_goes_on(stage: World, session: str) -> None:
    turn = stage.enqueue(session)
    until(lambda: stage.truth.ended(session, turn), seconds=5, what="the session goes on")
    assert stage.truth.status(session, turn) == "completed"
    assert stage.truth.inbox(session) == 0
    (end,) = [event for event in stage.truth.log(session) if event["type"] in TERMINAL]
    assert end["type"] == "turn.completed"

"""What crosses a wire says the same on both sides, and nonsense is a typed error."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnline_producer.turn_ids import new_turn_id
from turnline_schemas.cursor import Cursor
from turnline_schemas.errors import (
    InvalidCursorError,
    InvalidInputError,
    InvalidMessageError,
    PayloadTooLargeError,
    hide_password,
)
from turnline_schemas.event import Event, parse_event
from turnline_schemas.event_data import DATA_MODELS, TextDelta, UnknownData
from turnline_schemas.message import CancelMessage, Message, TurnMessage, parse_inbox_message

TEXT = st.text(st.characters(exclude_characters="\x00", codec="utf-8"), min_size=1).filter(
    str.strip
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)


def a_message(**fields: Any) -> bytes:
    """A turn as it stands in an inbox."""
    turn = {
        "kind": "turn",
        "session": "ses",
        "turn": "t",
        "message": {"role": "user", "content": "Hi"},
        "sent_at": "2026-11-22T15:00:00Z",
    }
    return json.dumps(turn | fields).encode()


@given(text=TEXT, context=st.dictionaries(TEXT, JSON, max_size=4))
def test_a_turn_is_the_same_after_the_wire(text: str, context: dict[str, Any]) -> None:
    turn = TurnMessage(
        session="ses", turn="t", message=Message(role="user", content=text), context=context
    )

    assert parse_inbox_message(turn.encode()) == turn
    assert parse_inbox_message(turn.encode()).fingerprint() == turn.fingerprint()


def test_the_fingerprint_is_about_what_is_said_and_not_about_when() -> None:
    one, later, other = (
        parse_inbox_message(raw).fingerprint()
        for raw in (
            a_message(),
            a_message(sent_at="2027-01-01T00:00:00Z"),
            a_message(message={"role": "user", "content": "Ho"}),
        )
    )

    assert one == later
    assert one != other


@given(raw=st.binary(max_size=200))
def test_garbage_is_always_a_typed_error(raw: bytes) -> None:
    with pytest.raises(InvalidInputError):
        parse_inbox_message(raw)


@pytest.mark.parametrize(
    ("raw", "code", "said"),
    [
        (b"{", "not_json", "not JSON"),
        (b"[1]", "not_an_object", "not a JSON object"),
        (b"[" * 100_000, "not_json", "not JSON"),
        (a_message(kind="party"), "unknown_kind", "unknown kind 'party'; known: turn, cancel"),
        (a_message(kind=None), "unknown_kind", "unknown kind None"),
        (a_message(session="no spaces"), "invalid_fields", "session:"),
        (a_message(session="x" * 129), "invalid_fields", "session:"),
        (a_message(turn=7), "invalid_fields", "turn:"),
        (a_message(message={"role": "user", "content": " \n"}), "invalid_fields", "is empty"),
        (a_message(message={"role": "tool", "content": "x"}), "invalid_fields", "must be 'user'"),
        (a_message(message={"role": "user", "content": "\x00"}), "invalid_fields", "NUL"),
        (a_message(message={"role": "user", "content": "\ud800"}), "invalid_fields", "surrogates"),
        (a_message(context={"a": float("inf")}), "invalid_fields", "no JSON number"),
        (a_message(sent_at="yesterday"), "invalid_fields", "sent_at:"),
        (a_message(v=2), "invalid_fields", "v:"),
        (a_message(priority=101), "invalid_fields", "priority:"),
    ],
)
def test_what_is_wrong_with_a_message_is_said(raw: bytes, code: str, said: str) -> None:
    with pytest.raises(InvalidMessageError) as caught:
        parse_inbox_message(raw)

    assert caught.value.code == code
    assert said in str(caught.value)


def test_deep_nesting_is_refused_and_does_not_end_the_interpreter() -> None:
    deep: list[Any] = []
    for _ in range(500):
        deep = [deep]

    with pytest.raises(InvalidMessageError, match=r"^context\.deep.*(nested|depth)"):
        parse_inbox_message(a_message(context={"deep": deep}))


def test_a_message_over_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(PayloadTooLargeError, match="over the limit of 100 bytes"):
        parse_inbox_message(b"x" * 101, limit=100)


def test_a_cancel_message_is_read_as_one() -> None:
    raw = json.dumps({"kind": "cancel", "session": "ses", "turn": "t"}).encode()

    assert isinstance(parse_inbox_message(raw), CancelMessage)


@given(epoch=st.text("abcXYZ", max_size=8), seq=st.integers(min_value=0, max_value=10**14))
def test_a_cursor_is_the_same_after_writing_it_down(epoch: str, seq: int) -> None:
    assert Cursor.parse(str(Cursor(epoch, seq))) == Cursor(epoch, seq)


@pytest.mark.parametrize("text", ["", "17", "a:", ":x", "a:-1", "a b:1", "a:1.0", "é:1", "a:٣"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursorError, match="is no cursor"):
        Cursor.parse(text)


def an_event(**fields: Any) -> dict[str, Any]:
    """An event as it stands in a log."""
    event = {"v": 1, "seq": 1, "session": "s", "turn": "t", "attempt": 1, "ts": 1}
    return event | {"type": "text.delta", "data": {"part": "t.1.0", "delta": "hi"}} | fields


def test_an_event_has_typed_data_and_is_the_same_after_the_wire() -> None:
    event = parse_event(an_event(), epoch="abc")

    assert event.data == TextDelta(part="t.1.0", delta="hi")
    assert str(event.cursor) == "abc:1"
    assert parse_event(event.to_json(), epoch="abc") == event


def test_an_unknown_type_and_unknown_fields_are_read_all_the_same() -> None:
    event = parse_event(an_event(type="new.thing", data={"x": 1}, later="field"))

    assert isinstance(event.data, UnknownData)
    assert json.loads(event.to_json())["data"] == {"x": 1}


def test_every_event_type_has_a_model_of_its_own() -> None:
    assert len(set(DATA_MODELS.values())) == len(DATA_MODELS)
    assert all(Event.model_fields)


def test_turn_ids_sort_by_time_and_differ() -> None:
    ids = [new_turn_id() for _ in range(1000)]

    assert len(set(ids)) == 1000
    assert [each[:11] for each in ids] == sorted(each[:11] for each in ids)
    assert {each[12] for each in ids} == {"7"}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:1/0", "redis://h:1/0"),
        ("redis://:pw@h:1/0", "redis://:***@h:1/0"),
        ("postgresql://u:p%40w@h/db?x=1", "postgresql://u:***@h/db?x=1"),
        ("unix:///tmp/r.sock?db=1&password=pw", "unix:///tmp/r.sock?db=1&password=***"),
        ("redis://[broken:pw@h", "<unreadable url>"),
    ],
)
def test_a_password_is_never_shown(url: str, shown: str) -> None:
    assert hide_password(url) == shown

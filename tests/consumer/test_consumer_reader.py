"""The reader's rules, without Redis."""

import json

import pytest
from log_writer import delta

from turnline_consumer.errors import StaleSnapshotError, UnreadableEventError
from turnline_consumer.page import Page
from turnline_consumer.reader import MAX_SNAPSHOTS, Need, Reader
from turnline_schemas.errors import InvalidCursorError, InvalidMessageError
from turnline_schemas.event import Event
from turnline_schemas.event_data import Snapshot, UnknownData

SESSION = "ses_1"


def a_reader(after: str | None = None, *, has_source: bool = False) -> Reader:
    return Reader(SESSION, after, has_source=has_source, clock=lambda: 1795360126097)


def entry(seq: int, kind: str = "text.delta") -> bytes:
    return f'{{"v":1,"seq":{seq},{delta(SESSION, kind)}'.encode()


def a_page(
    top: int,
    *,
    after: int = 0,
    epoch: str | None = "A",
    base: int = 0,
    kept: range | None = None,
) -> Page:
    kept = range(base + 1, top + 1) if kept is None else kept
    entries = tuple((seq, entry(seq)) for seq in kept if seq > after)
    return Page(after=after, epoch=epoch, base=base, top=top, entries=entries)


NO_LOG = Page(after=0, epoch=None, base=0, top=0, entries=())


def a_frame(*seqs: int, epoch: str = "A") -> bytes:
    events = ",".join(entry(seq).decode() for seq in seqs)
    return f'{{"epoch":"{epoch}","events":[{events}]}}'.encode()


def taken(reader: Reader) -> list[Event]:
    return list(iter(reader.take, None))


def seqs(reader: Reader) -> list[int]:
    return [event.seq for event in taken(reader)]


def only_reset(reader: Reader) -> tuple[str, str, str]:
    first, *rest = taken(reader)
    assert first.type == "session.reset"
    assert not [event for event in rest if event.type == "session.reset"]
    data = first.data.model_dump()
    assert data["cursor"] == str(first.cursor)
    return data["reason"], data["requested"], data["cursor"]


def test_the_log_is_read_before_anything_else() -> None:
    assert a_reader().need is Need.LOG
    assert a_reader("A:7").need is Need.LOG
    assert a_reader("A:7").after == 7


def test_without_a_cursor_everything_kept_is_delivered() -> None:
    reader = a_reader()

    reader.page(a_page(3))

    assert seqs(reader) == [1, 2, 3]
    assert str(reader.cursor) == "A:3"
    assert reader.need is Need.NEWS


def test_without_a_cursor_a_trimmed_log_is_read_from_its_oldest_event_without_a_reset() -> None:
    reader = a_reader()

    reader.page(a_page(9, kept=range(5, 10)))

    assert seqs(reader) == [5, 6, 7, 8, 9]


def test_latest_delivers_only_what_comes_from_now_on() -> None:
    reader = a_reader("latest")

    reader.page(a_page(3))
    assert str(reader.cursor) == "A:3"
    reader.frame(a_frame(4))

    assert seqs(reader) == [4]


def test_latest_of_a_session_without_a_log_is_its_beginning() -> None:
    reader = a_reader("latest")

    reader.page(NO_LOG)
    reader.check()
    reader.page(a_page(2, base=0))

    assert seqs(reader) == [1, 2]


def test_latest_of_a_session_without_a_log_tells_what_was_trimmed_meanwhile() -> None:
    reader = a_reader("latest")

    reader.page(NO_LOG)
    reader.check()
    reader.page(a_page(20, base=10, kept=range(15, 21)))

    assert only_reset(reader) == ("trimmed", "A:10", "A:14")


@pytest.mark.parametrize("cursor", range(6))
def test_from_every_cursor_the_rest_is_delivered(cursor: int) -> None:
    reader = a_reader(f"A:{cursor}")

    reader.page(a_page(5, after=cursor))

    assert seqs(reader) == list(range(cursor + 1, 6))
    assert str(reader.cursor) == "A:5"


def test_the_cursor_is_that_of_the_last_event_taken() -> None:
    reader = a_reader("A:1")
    reader.page(a_page(3, after=1))
    assert str(reader.cursor) == "A:1"

    reader.take()

    assert str(reader.cursor) == "A:2"


def test_a_page_that_ends_below_the_top_asks_for_the_next() -> None:
    reader = a_reader()

    reader.page(a_page(9, kept=range(1, 5)))

    assert (reader.need, reader.after) == (Need.LOG, 4)


def test_a_page_after_another_seq_is_ignored() -> None:
    reader = a_reader("A:3")

    reader.page(a_page(5, after=1))

    assert seqs(reader) == []
    assert reader.need is Need.LOG


def test_a_frame_that_follows_is_delivered_without_a_read() -> None:
    reader = a_reader()
    reader.page(a_page(2))

    reader.frame(a_frame(3, 4))

    assert seqs(reader) == [1, 2, 3, 4]
    assert reader.need is Need.NEWS


@pytest.mark.parametrize(("frame", "news"), [((1, 2), []), ((2, 3), [3]), ((1, 2, 3, 4), [3, 4])])
def test_what_was_seen_before_is_dropped_from_a_frame(
    frame: tuple[int, ...], news: list[int]
) -> None:
    reader = a_reader()
    reader.page(a_page(2))
    seqs(reader)

    reader.frame(a_frame(*frame))

    assert seqs(reader) == news
    assert reader.need is Need.NEWS


@pytest.mark.parametrize(
    "frame",
    [
        a_frame(4),
        a_frame(3, epoch="B"),
        b"no json",
        b"{}",
        b'{"epoch":"A","events":[{"seq":3}]}',
        b"[" * 100_000,
    ],
    ids=["hole", "other-epoch", "no-json", "no-frame", "no-event", "too-deep"],
)
def test_a_frame_that_does_not_follow_makes_the_reader_read_the_log(frame: bytes) -> None:
    reader = a_reader()
    reader.page(a_page(2))

    reader.frame(frame)

    assert seqs(reader) == [1, 2]
    assert (reader.need, reader.after) == (Need.LOG, 2)


def test_a_frame_with_a_hole_is_delivered_up_to_it() -> None:
    reader = a_reader()
    reader.page(a_page(2))

    reader.frame(a_frame(3, 5))

    assert seqs(reader) == [1, 2, 3]
    assert (reader.need, reader.after) == (Need.LOG, 3)


def test_a_frame_before_the_first_page_makes_no_event() -> None:
    reader = a_reader("A:1")
    reader.page(NO_LOG)

    reader.frame(a_frame(1, epoch="B"))
    assert seqs(reader) == []
    assert reader.need is Need.LOG


@pytest.mark.parametrize("after", [None, "latest", "A:5", ":5"])
def test_without_a_log_the_reader_waits(after: str | None) -> None:
    reader = a_reader(after)

    reader.page(Page(after=reader.after, epoch=None, base=0, top=0, entries=()))

    assert seqs(reader) == []
    assert reader.need is Need.NEWS


@pytest.mark.parametrize(
    ("after", "page", "told"),
    [
        ("A:3", a_page(5, after=3, epoch="B"), ("epoch_changed", "A:3", "B:0")),
        ("A:9", a_page(5, after=9), ("ahead", "A:9", "A:0")),
        (":9", a_page(5, after=9), ("ahead", ":9", "A:0")),
        (":3", a_page(15, after=3, base=10), ("epoch_changed", ":3", "A:10")),
        (":0", a_page(15, after=0, base=10), ("epoch_changed", ":0", "A:10")),
        ("A:3", a_page(9, after=3, kept=range(7, 10)), ("trimmed", "A:3", "A:6")),
        ("A:3", a_page(9, after=3, kept=range(0)), ("trimmed", "A:3", "A:9")),
    ],
    ids=["epoch", "ahead", "ahead-any", "below-base", "zero-below-base", "trimmed", "expired"],
)
def test_a_cursor_that_cannot_be_continued_is_reset_to_the_oldest_kept(
    after: str, page: Page, told: tuple[str, str, str]
) -> None:
    reader = a_reader(after)

    reader.page(page)
    if reader.need is Need.LOG:
        reader.page(a_page(page.top, after=reader.after, epoch=page.epoch, base=page.base))

    assert only_reset(reader) == told
    assert reader.need is Need.NEWS


def test_an_empty_epoch_adopts_the_log_it_fits() -> None:
    reader = a_reader(":12")

    reader.page(a_page(15, after=12, base=10))

    assert str(reader.cursor) == "A:12"
    assert seqs(reader) == [13, 14, 15]


def test_events_go_on_right_after_the_reset() -> None:
    reader = a_reader("A:3")

    reader.page(a_page(9, after=3, kept=range(7, 10)))

    reset, *events = taken(reader)
    assert (reset.seq, reset.epoch, reset.turn, reset.session) == (6, "A", None, SESSION)
    assert [event.seq for event in events] == [7, 8, 9]


def test_a_change_of_epoch_while_live_is_told() -> None:
    reader = a_reader()
    reader.page(a_page(2))
    seqs(reader)

    reader.frame(a_frame(3, epoch="B"))
    reader.page(a_page(3, after=2, epoch="B", base=2))
    reader.page(a_page(3, after=0, epoch="B", base=2))

    assert only_reset(reader) == ("epoch_changed", "A:2", "B:2")
    assert str(reader.cursor) == "B:3"


def test_a_late_frame_of_a_dead_epoch_changes_nothing() -> None:
    reader = a_reader()
    reader.page(a_page(3, epoch="B", base=2))
    seqs(reader)

    reader.frame(a_frame(4, epoch="A"))
    reader.page(a_page(3, after=3, epoch="B", base=2))

    assert seqs(reader) == []
    assert reader.need is Need.NEWS


def test_a_log_that_vanishes_during_a_reset_is_waited_for() -> None:
    reader = a_reader("A:3")
    reader.page(a_page(5, after=3, epoch="B"))

    reader.page(NO_LOG)
    assert reader.need is Need.NEWS
    reader.check()
    reader.page(a_page(7, epoch="C", base=5))

    assert only_reset(reader) == ("epoch_changed", "A:3", "C:5")


def test_a_hole_inside_the_log_is_told_and_passed() -> None:
    reader = a_reader()
    kept = Page(0, "A", 0, 5, tuple((seq, entry(seq)) for seq in (1, 2, 4, 5)))

    reader.page(kept)
    assert seqs(reader) == [1, 2]
    reader.page(Page(2, "A", 0, 5, kept.entries[2:]))

    assert only_reset(reader) == ("trimmed", "A:2", "A:3")
    assert reader.need is Need.NEWS


def test_a_snapshot_decides_where_to_go_on() -> None:
    reader = a_reader("A:3", has_source=True)
    reader.page(a_page(9, after=3, kept=range(7, 10)))
    assert reader.need is Need.SNAPSHOT
    assert seqs(reader) == []

    reader.snapshot(Snapshot(session=SESSION, cursor="A:8"))
    reader.page(a_page(9, after=8, kept=range(7, 10)))

    reset, event = taken(reader)
    assert reset.data.model_dump(exclude={"snapshot"}) == {
        "reason": "trimmed",
        "requested": "A:3",
        "cursor": "A:8",
    }
    assert reset.data.snapshot == Snapshot(session=SESSION, cursor="A:8")  # type: ignore[attr-defined]
    assert event.seq == 9


def test_a_snapshot_behind_the_log_is_fetched_again() -> None:
    reader = a_reader("A:3", has_source=True)
    reader.page(a_page(9, after=3, kept=range(7, 10)))
    reader.snapshot(Snapshot(session=SESSION, cursor="A:4"))
    reader.page(a_page(9, after=4, kept=range(7, 10)))
    assert (reader.need, reader.stale_snapshots) == (Need.SNAPSHOT, 1)

    reader.snapshot(Snapshot(session=SESSION, cursor=":9"))
    reader.page(a_page(9, after=9, kept=range(7, 10)))

    assert only_reset(reader) == ("trimmed", "A:3", "A:9")


def test_snapshots_that_stay_behind_the_log_are_an_error() -> None:
    reader = a_reader("A:3", has_source=True)
    reader.page(a_page(9, after=3, kept=range(7, 10)))

    def stale() -> None:
        reader.snapshot(Snapshot(session=SESSION, cursor="A:4"))
        reader.page(a_page(9, after=4, kept=range(7, 10)))

    for _ in range(MAX_SNAPSHOTS - 1):
        stale()

    with pytest.raises(StaleSnapshotError, match=r"at A:4 \(trimmed\)"):
        stale()
    assert reader.need is Need.SNAPSHOT


def test_a_snapshot_stands_if_the_log_is_gone() -> None:
    reader = a_reader("A:3", has_source=True)
    reader.page(a_page(9, after=3, kept=range(0)))
    reader.snapshot(Snapshot(session=SESSION, cursor="A:9"))

    reader.page(Page(after=9, epoch=None, base=0, top=0, entries=()))

    assert only_reset(reader) == ("trimmed", "A:3", "A:9")
    assert reader.need is Need.NEWS


def test_another_sessions_snapshot_is_refused() -> None:
    reader = a_reader("A:3", has_source=True)
    reader.page(a_page(9, after=3, epoch="B"))

    with pytest.raises(InvalidMessageError, match="'ses_2'"):
        reader.snapshot(Snapshot(session="ses_2", cursor="B:8"))


def test_an_event_of_an_unknown_type_is_delivered_with_all_its_fields() -> None:
    reader = a_reader()

    reader.page(Page(0, "A", 0, 1, ((1, entry(1, "tomorrow.news")),)))

    (event,) = taken(reader)
    assert isinstance(event.data, UnknownData)
    assert event.data.model_dump() == {"part": "t1.0.0", "delta": "hi"}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no json",
        b"[]",
        b"1",
        b"[" * 100_000,
        b'{"v":2,' + entry(2)[7:],
        b'{"v":1,"seq":2}',
        entry(7),
        b"\xff",
    ],
    ids=["empty", "text", "list", "int", "deep", "v2", "fields", "seq", "bytes"],
)
def test_an_unreadable_event_is_an_error_at_its_place_and_names_the_cursor_behind_it(
    raw: bytes,
) -> None:
    reader = a_reader()

    reader.page(Page(0, "A", 0, 3, ((1, entry(1)), (2, raw), (3, entry(3)))))

    first = reader.take()
    assert first is not None
    assert first.seq == 1
    for _ in range(2):
        with pytest.raises(UnreadableEventError) as caught:
            reader.take()
        assert caught.value.cursor == "A:2"
    assert str(reader.cursor) == "A:1"


def test_an_unreadable_frame_of_a_readable_log_costs_only_a_read() -> None:
    reader = a_reader()
    reader.page(a_page(1))
    broken = json.dumps({"epoch": "A", "events": [{"v": 1, "seq": 2, "type": "x"}]}).encode()

    reader.frame(broken)
    reader.page(a_page(2, after=1))

    assert seqs(reader) == [1, 2]


@pytest.mark.parametrize("after", ["", "A", "A:", "A:x", "A:-1", "a b:1", "newest"])
def test_what_is_no_cursor_is_refused(after: str) -> None:
    with pytest.raises(InvalidCursorError):
        a_reader(after)

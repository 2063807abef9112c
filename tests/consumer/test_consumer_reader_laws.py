"""Laws that hold for every log, every loss and every order of frames."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from test_consumer_reader import SESSION, a_frame, entry

from turnline_consumer.page import Page
from turnline_consumer.reader import Need, Reader
from turnline_schemas.event import Event
from turnline_schemas.event_data import Snapshot


@dataclass
class Log:
    """What Redis keeps of a session."""

    page_size: int
    epoch: str | None = None
    base: int = 0
    top: int = 0
    oldest: int = 1
    epochs: int = 0
    highest: int = 0
    frames: list[bytes] = field(default_factory=list)

    def publish(self, events: int) -> None:
        if self.epoch is None:
            self.epochs += 1
            self.epoch, self.base, self.top = f"E{self.epochs}", self.highest, self.highest
            self.oldest = self.base + 1
        new = range(self.top + 1, self.top + events + 1)
        self.top = self.highest = self.top + events
        self.frames.append(a_frame(*new, epoch=self.epoch))

    def trim(self, events: int) -> None:
        self.oldest = min(self.oldest + events, self.top + 1)

    def page(self, after: int) -> Page:
        if self.epoch is None:
            return Page(after, None, 0, 0, ())
        kept = range(max(self.oldest, after + 1), self.top + 1)[: self.page_size]
        return Page(after, self.epoch, self.base, self.top, tuple((s, entry(s)) for s in kept))


@dataclass
class Follower:
    """A reader and all it delivered."""

    log: Log
    reader: Reader
    events: list[Event] = field(default_factory=list)

    def settle(self) -> None:
        """Do what the reader needs until it needs news."""
        for _ in range(1000):
            while (event := self.reader.take()) is not None:
                self.events.append(event)
            if self.reader.need is Need.NEWS:
                return
            if self.reader.need is Need.LOG:
                self.reader.page(self.log.page(self.reader.after))
            else:
                cursor = f"{self.log.epoch or ''}:{self.log.top}"
                self.reader.snapshot(Snapshot(session=SESSION, cursor=cursor))
        raise AssertionError("the reader never comes to rest")


def a_follower(log: Log, after: str | None, *, has_source: bool = False) -> Follower:
    return Follower(log, Reader(SESSION, after, has_source=has_source, clock=lambda: 0))


@given(
    batches=st.lists(st.integers(1, 5), min_size=1, max_size=15),
    start=st.integers(0, 20),
    page_size=st.integers(1, 7),
    data=st.data(),
)
def test_whatever_happens_to_frames_every_event_comes_once_and_in_order(
    batches: list[int], start: int, page_size: int, data: st.DataObject
) -> None:
    log = Log(page_size)
    log.publish(batches[0])
    start = min(start, log.top)
    follower = a_follower(log, f"E1:{start}")

    for batch in batches[1:]:
        log.publish(batch)
        heard = data.draw(st.lists(st.sampled_from(log.frames), max_size=4), "frames heard")
        for frame in heard:
            follower.reader.frame(frame)
            if data.draw(st.booleans(), "obey at once"):
                follower.settle()
        if data.draw(st.booleans(), "check"):
            follower.reader.check()
    follower.reader.check()
    follower.settle()

    assert [event.seq for event in follower.events] == list(range(start + 1, log.top + 1))
    assert str(follower.reader.cursor) == f"E1:{log.top}"


@given(
    batches=st.lists(st.integers(1, 5), min_size=1, max_size=15),
    data=st.data(),
)
def test_frames_in_any_order_with_nothing_lost_need_no_check(
    batches: list[int], data: st.DataObject
) -> None:
    log = Log(page_size=256)
    follower = a_follower(log, None)
    follower.settle()
    for batch in batches:
        log.publish(batch)

    for frame in data.draw(st.permutations(log.frames), "order"):
        follower.reader.frame(frame)
        follower.settle()

    assert [event.seq for event in follower.events] == list(range(1, log.top + 1))


def happen(doing: str, log: Log, follower: Follower, data: st.DataObject) -> None:
    match doing:
        case "publish":
            log.publish(data.draw(st.integers(1, 4), "events"))
        case "trim":
            log.trim(data.draw(st.integers(1, 6), "trimmed"))
        case "forget":
            log.epoch = None
        case "hear" if log.frames:
            follower.reader.frame(data.draw(st.sampled_from(log.frames), "frame"))
        case "check":
            follower.reader.check()
        case "settle":
            follower.settle()


@given(
    doings=st.lists(
        st.sampled_from(["publish", "trim", "forget", "hear", "check", "settle"]), max_size=40
    ),
    after=st.sampled_from([None, "latest", "E1:0", "E1:3", "E2:3", ":0", ":4", "E1:99"]),
    has_source=st.booleans(),
    data=st.data(),
)
def test_nothing_is_ever_skipped_or_repeated_without_a_reset(
    doings: list[str], after: str | None, has_source: bool, data: st.DataObject
) -> None:
    log = Log(page_size=3)
    follower = a_follower(log, after, has_source=has_source)

    for doing in [*doings, "publish", "check", "settle"]:
        happen(doing, log, follower, data)

    for last, event in zip(follower.events, follower.events[1:], strict=False):
        if event.type != "session.reset":
            assert (event.epoch, event.seq) == (last.epoch, last.seq + 1)
    if after and ":" in after and follower.events[:1]:
        first = follower.events[0]
        assert first.type == "session.reset" or first.seq == int(after.partition(":")[2]) + 1
    assert str(follower.reader.cursor) == f"{log.epoch}:{log.top}"

"""The rules for streams find what is wrong, and let pass what is right; pytest runs them."""

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from turnline_schemas.errors import ConfigurationError
from turnline_schemas.event import Event, parse_event
from turnline_workers.inprocess.streams import IteratorStream
from turnline_workers.testing import (
    STORE_RULES,
    STREAM_RULES,
    StreamUnderTest,
    check_stream,
)
from turnline_workers.testing.shipped import (
    context_from_environment,
    from_environment,
    iterator_stream,
    memory_store,
)


def test_the_shipped_stream_keeps_the_rules() -> None:
    check_stream(iterator_stream)


class Passing(IteratorStream):
    """Changes events on their way."""

    def passed(self, events: Sequence[Event]) -> Sequence[Event]:
        """Return what goes on."""
        return events

    async def emit(self, event: Event) -> None:
        await self.emit_many((event,))

    async def emit_many(self, events: Sequence[Event]) -> None:
        await super().emit_many(self.passed(events))


class Reorders(Passing):
    def passed(self, events: Sequence[Event]) -> Sequence[Event]:
        return events[::-1]


class LosesTheHundredth(Passing):
    def passed(self, events: Sequence[Event]) -> Sequence[Event]:
        return [event for event in events if event.seq != 100]


class Doubles(Passing):
    def passed(self, events: Sequence[Event]) -> Sequence[Event]:
        return [*events, *(event for event in events if event.seq == 7)]


class EmitsTheFirstOfMany(Passing):
    def passed(self, events: Sequence[Event]) -> Sequence[Event]:
        return events[:1]


class NeedsAnEvent(Passing):
    def passed(self, events: Sequence[Event]) -> Sequence[Event]:
        return (events[0], *events[1:])


class Changes(Passing):
    """Changes an event's JSON."""

    def changed(self, text: str) -> str:
        """Return what goes on."""
        return text

    def passed(self, events: Sequence[Event]) -> Sequence[Event]:
        return [parse_event(self.changed(event.to_json())) for event in events]


class LosesUnicode(Changes):
    def changed(self, text: str) -> str:
        return text.encode("ascii", "replace").decode()


class LosesLineBreaks(Changes):
    def changed(self, text: str) -> str:
        return text.replace(r"\r\n", r"\n")


class LosesTheAttempt(Changes):
    def changed(self, text: str) -> str:
        return text.replace('"attempt":2', '"attempt":1')


class CutsLongText(Changes):
    def changed(self, text: str) -> str:
        return text.replace("x" * 100_000, "x")


class MixesSessions(Changes):
    def changed(self, text: str) -> str:
        return text.replace(':a","turn"', '","turn"').replace('.A","turn"', '","turn"')


class NumbersAnew(Passing):
    def passed(self, events: Sequence[Event]) -> Sequence[Event]:
        return [event.model_copy(update={"seq": 1}) for event in events]


class EndsWithTheTurn(Passing):
    def passed(self, events: Sequence[Event]) -> Sequence[Event]:
        return [event for event in events if event.turn != "t-2"]


class LosesTheOldest(Passing):
    """Has place for 500."""

    def passed(self, events: Sequence[Event]) -> Sequence[Event]:
        if self._queue.qsize() >= 500:
            self._queue.get_nowait()
        return events


class LosesTheNewest(Passing):
    """Swallows that there is no place left."""

    def passed(self, events: Sequence[Event]) -> Sequence[Event]:
        return events if self._queue.qsize() < 500 else ()


class LeavesAHole(Passing):
    """Says that there is no place, and that there is later on."""

    def passed(self, events: Sequence[Event]) -> Sequence[Event]:
        if self._queue.qsize() == 500:
            self._queue.get_nowait()
            raise OSError("no place")
        return events


class KeepsTheList(Passing):
    """Hands out later what it was given."""

    async def emit_many(self, events: Sequence[Event]) -> None:
        self._later = asyncio.create_task(self._hand_out(events))

    async def _hand_out(self, events: Sequence[Event]) -> None:
        await IteratorStream.emit_many(self, events)


class SkipsOldNumbers(Passing):
    """Takes a number that it has seen for an event that it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self._top: dict[str, int] = {}

    def passed(self, events: Sequence[Event]) -> Sequence[Event]:
        new = [event for event in events if event.seq > self._top.get(event.session, 0)]
        self._top.update((event.session, event.seq) for event in new)
        return new


WRONG_STREAMS: dict[type[Passing], str] = {
    Reorders: "emit many is as emit",
    EmitsTheFirstOfMany: "emit many is as emit",
    NeedsAnEvent: "emit many is as emit",
    LosesTheHundredth: "events arrive in order",
    Doubles: "events arrive in order",
    NumbersAnew: "events arrive in order",
    LosesUnicode: "events arrive unchanged",
    LosesLineBreaks: "events arrive unchanged",
    LosesTheAttempt: "events arrive unchanged",
    CutsLongText: "a big event arrives whole",
    MixesSessions: "sessions do not mix",
    EndsWithTheTurn: "turns follow one another",
    LosesTheOldest: "nothing is lost unsaid",
    LosesTheNewest: "nothing is lost unsaid",
    LeavesAHole: "nothing is lost unsaid",
    KeepsTheList: "what was emitted is the callers no more",
    SkipsOldNumbers: "numbers may begin anew",
}


class Refuses(Passing):
    """Is over when there is no place left, and says so."""

    def passed(self, events: Sequence[Event]) -> Sequence[Event]:
        if self._queue.qsize() >= 500:
            raise OSError("no place")
        return events


def test_a_stream_may_end_if_it_says_so() -> None:
    check_stream(lambda: iterator_stream(Refuses()))


@pytest.mark.parametrize("wrong", WRONG_STREAMS, ids=lambda wrong: wrong.__name__)
def test_a_wrong_stream_is_found_out(wrong: type[Passing]) -> None:
    def make() -> StreamUnderTest:
        return iterator_stream(wrong())

    with pytest.raises(AssertionError) as found:
        check_stream(make, seconds=0.3)

    assert f"- {WRONG_STREAMS[wrong]}: " in str(found.value)


def test_every_stream_rule_finds_something() -> None:
    found = {rule.__name__.replace("_", " ") for rule in STREAM_RULES}

    assert found == set(WRONG_STREAMS.values())


def suite(directory: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run the suite as a user would, in a directory of their own."""
    command = [sys.executable, "-m", "pytest", "--pyargs", "turnline_workers.testing", "-q"]
    environment = {"PATH": "", "PYTHONDONTWRITEBYTECODE": "1", **variables}
    return subprocess.run(
        [*command, "-p", "no:cacheprovider"],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_pytest_runs_the_rules_on_what_the_environment_names(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from turnline_workers.stores import MemoryStore\n"
        "from turnline_workers.testing.shipped import iterator_stream\n"
        "class Forgetful(MemoryStore):\n"
        "    async def load(self, session, context):\n"
        "        return None\n"
        "def make_store():\n"
        "    return Forgetful()\n"
        "def make_stream():\n"
        "    return iterator_stream()\n"
    )

    plain = suite(tmp_path)
    mine = suite(
        tmp_path,
        TURNLINE_TEST_STORE="mine:make_store",
        TURNLINE_TEST_STREAM="mine:make_stream",
    )

    assert plain.returncode == 0, plain.stdout
    assert f"{len(STORE_RULES) + len(STREAM_RULES)} passed" in plain.stdout
    assert mine.returncode == 1
    assert "FAILED" in mine.stdout
    assert "what is saved is loaded: what was saved is not found" in mine.stdout
    assert f"{len(STREAM_RULES) + 1} passed" in mine.stdout


def test_the_context_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "TURNLINE_TEST_CONTEXT"

    assert context_from_environment(name) is None
    monkeypatch.setenv(name, '{"org": "acme"}')
    assert context_from_environment(name) == {"org": "acme"}
    monkeypatch.setenv(name, "acme")
    with pytest.raises(ConfigurationError, match="TURNLINE_TEST_CONTEXT='acme' is no JSON object"):
        context_from_environment(name)


def test_a_factory_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNLINE_TEST_STORE", "no_such_module:make")

    with pytest.raises(ConfigurationError, match=r"TURNLINE_TEST_STORE=.*no_such_module"):
        from_environment("TURNLINE_TEST_STORE", memory_store)

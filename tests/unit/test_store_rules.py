"""The rules for stores find what is wrong, and let pass what is right."""

import asyncio
import json
import re
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from turnline_schemas.errors import InvalidInputError
from turnline_workers.interaction.state import InteractionState
from turnline_workers.stores import MemoryStore, StaleStateError, from_json, to_json
from turnline_workers.testing import (
    STORE_RULES,
    check_store,
)
from turnline_workers.testing.shipped import memory_store

Context = Mapping[str, Any]


def test_the_shipped_store_keeps_the_rules() -> None:
    check_store(memory_store)


def test_factories_may_be_async_and_what_they_make_is_closed() -> None:
    closed: list[str] = []
    place = MemoryStore()

    class Closing(MemoryStore):
        def __init__(self) -> None:
            self.__dict__ = place.__dict__

        async def aclose(self) -> None:
            closed.append("store")

    async def make() -> Closing:
        return Closing()

    check_store(make)

    assert len(closed) >= len(STORE_RULES)


class Altered(MemoryStore):
    """Changes a state before it is kept."""

    change: Callable[[InteractionState], InteractionState]

    async def save(self, session: str, state: InteractionState, context: Context) -> None:
        await super().save(session, type(self).change(state), context)


class LosesPrivate(Altered):
    change = staticmethod(lambda state: replace(state, private={}))


class LosesTrace(Altered):
    change = staticmethod(lambda state: replace(state, trace=(), diagnostics=()))


class LosesSummaries(Altered):
    change = staticmethod(
        lambda state: replace(state, messages=tuple(m for m in state.messages if m.index))
    )


class KeepsTheLastThousand(Altered):
    change = staticmethod(lambda state: replace(state, messages=state.messages[-1000:]))


class IgnoresRevisions(MemoryStore):
    async def save(self, session: str, state: InteractionState, context: Context) -> None:
        found = await self.load(session, context)
        current = found.revision if found else 0
        await super().save(session, replace(state, revision=current), context)


class KeepsTheRevision(MemoryStore):
    async def load(self, session: str, context: Context) -> InteractionState | None:
        found = await super().load(session, context)
        return found and replace(found, revision=found.revision - 1)


class ChecksAndThenSaves(MemoryStore):
    """Two statements where one is needed."""

    async def save(self, session: str, state: InteractionState, context: Context) -> None:
        found = await self.load(session, context)
        current = found.revision if found else 0
        if current != state.revision:
            raise StaleStateError(session, state.revision)
        await asyncio.sleep(0)
        await self.delete(session, context)
        await super().save(session, replace(state, revision=0), context)
        self._states[session] = (current + 1, self._states[session][1])


class SavesAndThenRefuses(MemoryStore):
    async def save(self, session: str, state: InteractionState, context: Context) -> None:
        current = self._states.get(session, (0, ""))[0]
        if current != state.revision:
            text = self._states.get(session, (0, ""))[1]
            self._states[session] = (current + 1, text)
        await super().save(session, state, context)


class HandsOutWhatItKeeps(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[str, InteractionState] = {}

    async def load(self, session: str, context: Context) -> InteractionState | None:
        return self._kept.get(session)

    async def save(self, session: str, state: InteractionState, context: Context) -> None:
        await super().save(session, state, context)
        self._kept[session] = replace(state, revision=state.revision + 1)

    async def delete(self, session: str, context: Context) -> None:
        await super().delete(session, context)
        self._kept.pop(session, None)


class Renamed(MemoryStore):
    """Knows sessions by another name."""

    name: Callable[[str], str]

    async def load(self, session: str, context: Context) -> InteractionState | None:
        return await super().load(type(self).name(session), context)

    async def save(self, session: str, state: InteractionState, context: Context) -> None:
        await super().save(type(self).name(session), state, context)

    async def delete(self, session: str, context: Context) -> None:
        await super().delete(type(self).name(session), context)


class DeletesBySuffix(MemoryStore):
    async def delete(self, session: str, context: Context) -> None:
        for each in [each for each in self._states if each.endswith(session)]:
            await super().delete(each, context)


class DeletesByPattern(MemoryStore):
    async def delete(self, session: str, context: Context) -> None:
        pattern = re.compile(re.escape(session).replace("_", "."))
        for each in [each for each in self._states if pattern.fullmatch(each)]:
            await super().delete(each, context)


class ByTenant(MemoryStore):
    """Separates sessions by their context, as one may."""

    def key(self, session: str, context: Context) -> str:
        """Return what a session is called inside."""
        return f"{context['tenant']}/{session}"

    async def load(self, session: str, context: Context) -> InteractionState | None:
        return await super().load(self.key(session, context), context)

    async def save(self, session: str, state: InteractionState, context: Context) -> None:
        await super().save(self.key(session, context), state, context)

    async def delete(self, session: str, context: Context) -> None:
        await super().delete(self.key(session, context), context)


class JoinsTenantAndSession(ByTenant):
    def key(self, session: str, context: Context) -> str:
        return f"{context['tenant']}{session}"


class JoinsSessionAndTenant(ByTenant):
    def key(self, session: str, context: Context) -> str:
        return f"{session}{context['tenant']}"


class DeletesOfAllTenants(ByTenant):
    async def delete(self, session: str, context: Context) -> None:
        for each in [each for each in self._states if each.endswith(f"/{session}")]:
            del self._states[each]


class RoundsNumbers(Altered):
    """As where all numbers are floats."""

    change = staticmethod(
        lambda state: replace(
            state, private=json.loads(json.dumps(state.private), parse_int=lambda n: int(float(n)))
        )
    )


class DropsNul(Altered):
    change = staticmethod(
        lambda state: replace(
            state, private=json.loads(json.dumps(state.private).replace("\\u0000", ""))
        )
    )


class RefusesNul(MemoryStore):
    """As one may."""

    async def save(self, session: str, state: InteractionState, context: Context) -> None:
        if "\\u0000" in to_json(state):
            raise InvalidInputError("no NUL here")
        await super().save(session, state, context)


class FileStore:
    """Reads, compares and writes, without a lock."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def _read(self, session: str) -> tuple[int, str]:
        try:
            revision, text = (self._directory / session).read_text().split("\n", 1)
        except (FileNotFoundError, ValueError):  # the other one has just begun to write
            return 0, ""
        return int(revision), text

    async def load(self, session: str, context: Context) -> InteractionState | None:
        revision, text = self._read(session)
        return from_json(text, revision=revision) if text else None

    async def save(self, session: str, state: InteractionState, context: Context) -> None:
        if self._read(session)[0] != state.revision:
            raise StaleStateError(session, state.revision)
        (self._directory / session).write_text(f"{state.revision + 1}\n{to_json(state)}")

    async def delete(self, session: str, context: Context) -> None:
        (self._directory / session).unlink(missing_ok=True)


class SqliteStore:
    """Does in one statement what has to be one, over a connection per store."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=30)
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS states (session PRIMARY KEY, revision, state)"
        )

    async def load(self, session: str, context: Context) -> InteractionState | None:
        found = self._connection.execute(
            "SELECT state, revision FROM states WHERE session = ?", (session,)
        ).fetchone()
        return found and from_json(found[0], revision=found[1])

    async def save(self, session: str, state: InteractionState, context: Context) -> None:
        first = "INSERT OR IGNORE INTO states (state, session, revision) VALUES (?, ?, ? + 1)"
        later = "UPDATE states SET state = ?, revision = revision + 1"
        later += " WHERE session = ? AND revision = ?"
        values = (to_json(state), session, state.revision)
        if not self._connection.execute(later if state.revision else first, values).rowcount:
            raise StaleStateError(session, state.revision)

    async def delete(self, session: str, context: Context) -> None:
        self._connection.execute("DELETE FROM states WHERE session = ?", (session,))

    async def aclose(self) -> None:
        self._connection.close()


class IgnoresCase(Renamed):
    name = staticmethod(str.lower)


class CutsIds(Renamed):
    name = staticmethod(lambda session: session[:64])


class DeletesByPrefix(MemoryStore):
    async def delete(self, session: str, context: Context) -> None:
        for each in [each for each in self._states if each.startswith(session)]:
            await super().delete(each, context)


class NeverForgets(MemoryStore):
    async def delete(self, session: str, context: Context) -> None:
        if session not in self._states:
            return
        empty = InteractionState(revision=self._states[session][0])
        await self.save(session, empty, context)


class CountsOnAfterDelete(MemoryStore):
    """Leaves the number behind."""

    def __init__(self) -> None:
        super().__init__()
        self._gone: dict[str, int] = {}

    async def save(self, session: str, state: InteractionState, context: Context) -> None:
        if session in self._gone and session not in self._states:
            self._states[session] = (self._gone[session], "")
        await super().save(session, state, context)

    async def delete(self, session: str, context: Context) -> None:
        if session in self._states:
            self._gone[session] = self._states[session][0]
        await super().delete(session, context)


class MindsUnknown(MemoryStore):
    async def delete(self, session: str, context: Context) -> None:
        del self._states[session]


class BeginsByItself(MemoryStore):
    async def load(self, session: str, context: Context) -> InteractionState | None:
        return await super().load(session, context) or InteractionState()


class NoUnicode(MemoryStore):
    async def load(self, session: str, context: Context) -> InteractionState | None:
        revision, text = self._states.get(session, (0, ""))
        if text:
            self._states[session] = (revision, text.encode("ascii", "replace").decode())
        return await super().load(session, context)


class Hangs(MemoryStore):
    async def save(self, session: str, state: InteractionState, context: Context) -> None:
        await asyncio.Event().wait()


RACED = "no save of several processes is lost"

WRONG_STORES: dict[type[MemoryStore], str] = {
    LosesPrivate: "what is saved is loaded",
    LosesTrace: "what is saved is loaded",
    LosesSummaries: "what is saved is loaded",
    NoUnicode: "what is saved is loaded",
    KeepsTheLastThousand: "a long conversation is kept",
    IgnoresRevisions: "a stale save is refused and changes nothing",
    SavesAndThenRefuses: "a stale save is refused and changes nothing",
    KeepsTheRevision: "each save counts one revision",
    ChecksAndThenSaves: "of concurrent saves exactly one wins",
    HandsOutWhatItKeeps: "what is stored cannot be changed from outside",
    IgnoresCase: "sessions do not mix",
    CutsIds: "sessions do not mix",
    DeletesByPrefix: "sessions do not mix",
    DeletesBySuffix: "sessions do not mix",
    DeletesByPattern: "sessions do not mix",
    JoinsTenantAndSession: "contexts do not mix",
    JoinsSessionAndTenant: "contexts do not mix",
    DeletesOfAllTenants: "contexts do not mix",
    RoundsNumbers: "values are kept or refused",
    DropsNul: "values are kept or refused",
    NeverForgets: "a deleted session is forgotten",
    CountsOnAfterDelete: "a deleted session is forgotten",
    MindsUnknown: "a deleted session is forgotten",
    BeginsByItself: "an unknown session is none",
}


@pytest.mark.parametrize("wrong", WRONG_STORES, ids=lambda wrong: wrong.__name__)
def test_a_wrong_store_is_found_out(wrong: type[MemoryStore]) -> None:
    store = wrong()

    with pytest.raises(AssertionError) as found:
        check_store(lambda: store)

    assert f"- {WRONG_STORES[wrong]}: " in str(found.value)


@pytest.mark.parametrize("right", [ByTenant, RefusesNul], ids=lambda right: right.__name__)
def test_a_store_may_do_otherwise_where_the_contract_lets_it(right: type[MemoryStore]) -> None:
    store = right()

    check_store(lambda: store)


def test_a_store_that_two_processes_can_save_at_once_is_found_out(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=f"- {RACED}: ") as found:
        check_store(lambda: FileStore(tmp_path))

    assert "breaks 1 of" in str(found.value)


def test_a_store_with_a_connection_of_its_own_keeps_the_rules(tmp_path: Path) -> None:
    check_store(lambda: SqliteStore(tmp_path / "states"))


def test_a_store_gets_the_context_that_it_needs() -> None:
    class ByOrganisation(ByTenant):
        def key(self, session: str, context: Context) -> str:
            return f"{context['org']}/{session}"

    class Choosy(ByOrganisation):
        def key(self, session: str, context: Context) -> str:
            if context["org"] != "acme":
                raise PermissionError(context["org"])
            return super().key(session, context)

    for store in (ByOrganisation(), Choosy()):
        check_store(lambda each=store: each, context={"org": "acme", "plan": 3})  # type: ignore[misc]
        with pytest.raises(AssertionError, match="KeyError: 'org'"):
            check_store(lambda each=store: each)  # type: ignore[misc]


def test_states_that_die_with_their_object_are_found_out() -> None:
    with pytest.raises(AssertionError, match="another store object finds what was saved"):
        check_store(MemoryStore)


def test_a_store_that_hangs_is_found_out() -> None:
    with pytest.raises(AssertionError, match=r"what is saved is loaded: not within 0\.05 s"):
        check_store(Hangs, seconds=0.05)


def test_every_store_rule_finds_something() -> None:
    found = {*WRONG_STORES.values(), RACED, "another store object finds what was saved"}

    assert found == {rule.__name__.replace("_", " ") for rule in STORE_RULES}

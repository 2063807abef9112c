"""What every ``SessionStore`` must do.  Each function is one rule, and its name says it.

A rule uses sessions of its own and deletes them, so that a real place may be checked.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

from turnline_workers.errors import StaleStateError
from turnline_workers.inprocess.stores import SessionStore
from turnline_workers.interaction.state import InteractionState
from turnline_workers.testing.expecting import expect
from turnline_workers.testing.states import long_state, rich_state
from turnline_workers.testing.subjects import OpenStore

CONTEXT: Final = {"tenant": "testing"}

LONG: Final = 5_000
"""Messages of a long conversation."""

SAVERS: Final = 8

ODD: Final = ("a", "a:b", "a.b", "a_b", "a-b", "a@b", "A", "..", "0", "-", "x" * 99, "x" * 98 + "y")
"""Ends of session ids; all of them are allowed, and none is another one."""


async def an_unknown_session_is_none(store: OpenStore) -> None:
    """Nothing saved, nothing loaded."""
    async with a_session(await store()) as (one, session):
        expect("what is loaded", await one.load(session, CONTEXT), None)


async def what_is_saved_is_loaded(store: OpenStore) -> None:
    """Every field comes back equal: Unicode, parts, private state, a pause, summaries."""
    async with a_session(await store()) as (one, session):
        state = rich_state()
        await one.save(session, state, CONTEXT)
        await is_stored(one, session, replace(state, revision=1))


async def each_save_counts_one_revision(store: OpenStore) -> None:
    """A state of revision n is stored as n + 1, and in place of n."""
    async with a_session(await store()) as (one, session):
        for revision in range(5):
            await one.save(session, a_state(revision, f"save {revision}"), CONTEXT)
            await is_stored(one, session, a_state(revision + 1, f"save {revision}"))


async def a_long_conversation_is_kept(store: OpenStore) -> None:
    """5,000 messages, more than a megabyte."""
    async with a_session(await store()) as (one, session):
        state = long_state(LONG)
        await one.save(session, state, CONTEXT)
        await is_stored(one, session, replace(state, revision=1))


async def what_is_stored_cannot_be_changed_from_outside(store: OpenStore) -> None:
    """Neither through the state that was saved nor through one that was loaded."""
    async with a_session(await store()) as (one, session):
        state, wanted = (a_state(n, private={"list": [1, {"deep": 1}]}) for n in (0, 1))
        await one.save(session, state, CONTEXT)
        for held in (state, await loaded(one, session)):
            held.private["list"][1]["deep"] = 2
            held.private["more"] = True
            await is_stored(one, session, wanted)


async def sessions_do_not_mix(store: OpenStore) -> None:
    """Ids that look alike are different sessions."""
    one = await store()
    base = new_session()
    sessions = [base, *(f"{base}{end}" for end in ODD)]
    try:
        for session in sessions:
            await one.save(session, a_state(0, session), CONTEXT)
        for session in sessions:
            await is_stored(one, session, a_state(1, session))
        await one.delete(base, CONTEXT)
        expect("what is left of a deleted session", await one.load(base, CONTEXT), None)
        for session in sessions[1:]:
            await is_stored(one, session, a_state(1, session))
    finally:
        for session in sessions:
            await one.delete(session, CONTEXT)


async def a_stale_save_is_refused_and_changes_nothing(store: OpenStore) -> None:
    """Neither over a newer revision, nor from one that never was, nor where nothing is stored."""
    async with a_session(await store()) as (one, session):
        await is_refused(one, session, a_state(1, "of a session that is gone"))
        expect("what a refused save stored", await one.load(session, CONTEXT), None)
        await one.save(session, a_state(0, "first"), CONTEXT)
        await one.save(session, a_state(1, "second"), CONTEXT)
        for revision in (0, 1, 3):
            await is_refused(one, session, a_state(revision, "stale"))
            await is_stored(one, session, a_state(2, "second"))


async def of_concurrent_saves_exactly_one_wins(store: OpenStore) -> None:
    """Both of the first save and of later ones, through several store objects."""
    stores = [await store(), await store()]
    async with a_session(stores[0]) as (one, session):
        for revision in range(3):
            states = [a_state(revision, f"saver {n}") for n in range(SAVERS)]
            results = await asyncio.gather(
                *(_tried(stores[n % 2], session, state) for n, state in enumerate(states))
            )
            expect("number of savers that won", sum(results), 1)
            winner = states[results.index(True)]
            await is_stored(one, session, replace(winner, revision=revision + 1))


async def a_deleted_session_is_forgotten(store: OpenStore) -> None:
    """It begins again at revision 0; deleting what is not there does nothing."""
    async with a_session(await store()) as (one, session):
        await one.delete(session, CONTEXT)
        await one.save(session, a_state(0, "before"), CONTEXT)
        await one.save(session, a_state(1, "before"), CONTEXT)
        await one.delete(session, CONTEXT)
        await one.delete(session, CONTEXT)
        expect("what is loaded after delete", await one.load(session, CONTEXT), None)
        await is_refused(one, session, a_state(2, "before"))
        await one.save(session, a_state(0, "after"), CONTEXT)
        await is_stored(one, session, a_state(1, "after"))


async def another_store_object_finds_what_was_saved(store: OpenStore) -> None:
    """States belong to the place, not to the object: what a restarted process makes goes on."""
    async with a_session(await store()) as (one, session):
        await one.save(session, rich_state(), CONTEXT)
        other = await store()
        await is_stored(other, session, replace(rich_state(), revision=1))
        await other.save(session, a_state(1, "there"), CONTEXT)
        await is_stored(one, session, a_state(2, "there"))
        await is_refused(one, session, a_state(1, "here"))


STORE_RULES: Final[Sequence[Callable[[OpenStore], Awaitable[None]]]] = (
    an_unknown_session_is_none,
    what_is_saved_is_loaded,
    each_save_counts_one_revision,
    a_long_conversation_is_kept,
    what_is_stored_cannot_be_changed_from_outside,
    sessions_do_not_mix,
    a_stale_save_is_refused_and_changes_nothing,
    of_concurrent_saves_exactly_one_wins,
    a_deleted_session_is_forgotten,
    another_store_object_finds_what_was_saved,
)
"""All rules, the basic ones first."""


def new_session() -> str:
    """Return an id that nobody else has."""
    return f"turnline-testing-{secrets.token_hex(6)}"


@asynccontextmanager
async def a_session(store: SessionStore) -> AsyncIterator[tuple[SessionStore, str]]:
    """Give a new session, and delete it."""
    session = new_session()
    try:
        yield store, session
    finally:
        await store.delete(session, CONTEXT)


def a_state(
    revision: int, text: str = "", *, private: dict[str, Any] | None = None
) -> InteractionState:
    """Return a small state."""
    return InteractionState(last_seq=7, revision=revision, private=private or {"text": text})


async def loaded(store: SessionStore, session: str) -> InteractionState:
    """Return what is stored; fail if nothing is."""
    state = await store.load(session, CONTEXT)
    if state is None:
        raise AssertionError("what was saved is not found")
    return state


async def is_stored(store: SessionStore, session: str, wanted: InteractionState) -> None:
    """Fail unless this is what is stored."""
    found = await loaded(store, session)
    for field in ("revision", "messages", "private", "diagnostics", "trace"):
        expect(f"{field} of what is loaded", getattr(found, field), getattr(wanted, field))
    expect("what is loaded", found, wanted)


async def is_refused(store: SessionStore, session: str, state: InteractionState) -> None:
    """Fail unless saving ``state`` raises ``StaleStateError``."""
    if await _tried(store, session, state):
        raise AssertionError(f"a stale state of revision {state.revision} was saved")


async def _tried(store: SessionStore, session: str, state: InteractionState) -> bool:
    """Return whether ``state`` was saved, and not refused."""
    try:
        await store.save(session, state, CONTEXT)
    except StaleStateError:
        return False
    return True

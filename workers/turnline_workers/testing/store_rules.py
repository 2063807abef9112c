"""What every ``SessionStore`` must do.  Each function is one rule, and its name says it.

A rule uses sessions of its own and deletes them, so that a real place may be checked.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, Final

from turnline_schemas.errors import InvalidInputError
from turnline_workers.interaction.state import InteractionState
from turnline_workers.testing.expecting import expect, short
from turnline_workers.testing.kept import Kept, a_session, new_session
from turnline_workers.testing.racing import Race
from turnline_workers.testing.states import VALUES, long_state, rich_state
from turnline_workers.testing.subjects import StoresUnderTest

LONG: Final = 5_000
"""Messages of a long conversation."""

SAVERS: Final = 8

ODD: Final = ("a", "a:b", "a.b", "a_b", "a-b", "a@b", "A", "..", "0", "-", "x" * 99, "x" * 98 + "y")
"""Ends of session ids; all of them are allowed, and none is another one."""

PATTERNS: Final = ("", "a.b", "a_b")
"""Ends that would match others, if a store took them for the beginning or a pattern of an id."""

FRONTS: Final = ("a", "a:", ".")
"""Beginnings of session ids."""


async def an_unknown_session_is_none(stores: StoresUnderTest) -> None:
    """Nothing saved, nothing loaded."""
    async with a_session(stores) as kept:
        expect("what is loaded", await kept.load(), None)


async def what_is_saved_is_loaded(stores: StoresUnderTest) -> None:
    """Every field comes back equal: Unicode, parts, private state, a pause, summaries."""
    async with a_session(stores) as kept:
        state = rich_state()
        await kept.save(state)
        await kept.holds(replace(state, revision=1))


async def each_save_counts_one_revision(stores: StoresUnderTest) -> None:
    """A state of revision n is stored as n + 1, and in place of n."""
    async with a_session(stores) as kept:
        for revision in range(5):
            await kept.save(a_state(revision, f"save {revision}"))
            await kept.holds(a_state(revision + 1, f"save {revision}"))


async def a_long_conversation_is_kept(stores: StoresUnderTest) -> None:
    """5,000 messages, more than a megabyte."""
    async with a_session(stores) as kept:
        state = long_state(LONG)
        await kept.save(state)
        await kept.holds(replace(state, revision=1))


async def what_is_stored_cannot_be_changed_from_outside(stores: StoresUnderTest) -> None:
    """Neither through the state that was saved nor through one that was loaded."""
    async with a_session(stores) as kept:
        state, wanted = (a_state(n, private={"list": [1, {"deep": 1}]}) for n in (0, 1))
        await kept.save(state)
        for held in (state, await kept.loaded()):
            held.private["list"][1]["deep"] = 2
            held.private["more"] = True
            await kept.holds(wanted)


async def values_are_kept_or_refused(stores: StoresUnderTest) -> None:
    """Numbers and text come back as they were, or are refused with ``InvalidInputError``."""
    for value in VALUES:
        async with a_session(stores) as kept:
            state = a_state(0, private={"value": value})
            try:
                await kept.save(state)
            except InvalidInputError:
                expect(f"what is stored of {short(value)}", await kept.load(), None)
            else:
                found = (await kept.loaded()).private.get("value")
                expect("a value of what is loaded", found, value)
                expect(f"type of {short(value)}", type(found), type(value))


async def sessions_do_not_mix(stores: StoresUnderTest) -> None:
    """Ids that look alike are different sessions."""
    one = await stores.open()
    base = new_session()
    sessions = [*(f"{base}{end}" for end in ("", *ODD)), *(f"{front}{base}" for front in FRONTS)]
    left = {session: Kept(one, session, stores.context) for session in sessions}
    async with AsyncExitStack() as deleting:
        for session, kept in left.items():
            deleting.push_async_callback(kept.delete)
            await kept.save(a_state(0, session))
        await are_stored(left)
        for end in PATTERNS:
            gone = left.pop(f"{base}{end}")
            await gone.delete()
            expect("what is left of a deleted session", await gone.load(), None)
            await are_stored(left)


async def contexts_do_not_mix(stores: StoresUnderTest) -> None:
    """A store may separate sessions by their context, or not look at it; nothing in between.

    The contexts that are tried are like the one that was given; a store may refuse them.
    """
    async with a_session(stores) as kept:
        for session, context in alike(kept.session, stores.context):
            await kept.save(a_state(0, "one"))
            other = Kept(kept.store, session, context)
            try:
                await separates(kept, other)
            except AssertionError:
                raise
            except Exception:  # noqa: BLE001, S112 - the store does not serve that context
                continue
            finally:
                await kept.delete()


async def separates(kept: Kept, other: Kept) -> None:
    """Fail if ``other`` changes what is kept, unless it is the same session and seen as that."""
    if kept.session == other.session and await other.load() is not None:
        return
    try:
        if not await other.takes(a_state(0, "other")):
            raise AssertionError(f"{other.session!r} in {other.context} is taken for another one")
        await kept.holds(a_state(1, "one"))
        await other.holds(a_state(1, "other"))
    finally:
        await other.delete()
    await kept.holds(a_state(1, "one"))


async def a_stale_save_is_refused_and_changes_nothing(stores: StoresUnderTest) -> None:
    """Neither over a newer revision, nor from one that never was, nor where nothing is stored."""
    async with a_session(stores) as kept:
        await kept.refuses(a_state(1, "of a session that is gone"))
        expect("what a refused save stored", await kept.load(), None)
        await kept.save(a_state(0, "first"))
        await kept.save(a_state(1, "second"))
        for revision in (0, 1, 3):
            await kept.refuses(a_state(revision, "stale"))
            await kept.holds(a_state(2, "second"))


async def of_concurrent_saves_exactly_one_wins(stores: StoresUnderTest) -> None:
    """Both of the first save and of later ones, through several store objects."""
    async with a_session(stores) as kept:
        places = [kept, replace(kept, store=await stores.open())]
        for revision in range(3):
            states = [a_state(revision, f"saver {n}") for n in range(SAVERS)]
            results = await asyncio.gather(
                *(places[n % 2].takes(state) for n, state in enumerate(states))
            )
            expect("number of savers that won", sum(results), 1)
            winner = states[results.index(True)]
            await kept.holds(replace(winner, revision=revision + 1))


async def no_save_of_several_processes_is_lost(stores: StoresUnderTest) -> None:
    """Every save that was taken is one revision, also where others save at the same moment."""
    async with a_session(stores) as kept:
        wins = await Race(stores, kept.session).wins()
        found = await kept.loaded()
        expect("saves that were taken, for as many revisions", wins, found.revision)


async def a_deleted_session_is_forgotten(stores: StoresUnderTest) -> None:
    """It begins again at revision 0; deleting what is not there does nothing."""
    async with a_session(stores) as kept:
        await kept.delete()
        await kept.save(a_state(0, "before"))
        await kept.save(a_state(1, "before"))
        await kept.delete()
        await kept.delete()
        expect("what is loaded after delete", await kept.load(), None)
        await kept.refuses(a_state(2, "before"))
        await kept.save(a_state(0, "after"))
        await kept.holds(a_state(1, "after"))


async def another_store_object_finds_what_was_saved(stores: StoresUnderTest) -> None:
    """States belong to the place, not to the object: what a restarted process makes goes on."""
    async with a_session(stores) as kept:
        await kept.save(rich_state())
        other = replace(kept, store=await stores.open())
        await other.holds(replace(rich_state(), revision=1))
        await other.save(a_state(1, "there"))
        await kept.holds(a_state(2, "there"))
        await kept.refuses(a_state(1, "here"))


StoreRule = Callable[[StoresUnderTest], Awaitable[None]]

STORE_RULES: Final[Sequence[StoreRule]] = (
    an_unknown_session_is_none,
    what_is_saved_is_loaded,
    each_save_counts_one_revision,
    a_long_conversation_is_kept,
    what_is_stored_cannot_be_changed_from_outside,
    values_are_kept_or_refused,
    sessions_do_not_mix,
    contexts_do_not_mix,
    a_stale_save_is_refused_and_changes_nothing,
    of_concurrent_saves_exactly_one_wins,
    no_save_of_several_processes_is_lost,
    a_deleted_session_is_forgotten,
    another_store_object_finds_what_was_saved,
)
"""All rules, the basic ones first."""


def a_state(
    revision: int, text: str = "", *, private: dict[str, Any] | None = None
) -> InteractionState:
    """Return a small state."""
    return InteractionState(last_seq=7, revision=revision, private=private or {"text": text})


async def are_stored(sessions: Mapping[str, Kept]) -> None:
    """Fail unless each session holds the state that has its name."""
    for session, kept in sessions.items():
        await kept.holds(a_state(1, session))


def alike(session: str, context: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield sessions of other contexts that a careless key would confuse with ``session``."""
    for name, value in context.items():
        if not isinstance(value, str) or not value:
            continue
        yield session, {**context, name: f"{value}-other"}
        if value[-1].isalnum():
            yield f"{value[-1]}{session}", {**context, name: value[:-1]}
        if value[0].isalnum():
            yield f"{session}{value[0]}", {**context, name: value[1:]}

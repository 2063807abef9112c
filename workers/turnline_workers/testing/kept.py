"""One session in a store, as rules use it."""

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from turnline_workers.errors import StaleStateError
from turnline_workers.inprocess.stores import SessionStore
from turnline_workers.interaction.state import InteractionState
from turnline_workers.testing.expecting import expect
from turnline_workers.testing.subjects import StoresUnderTest


@dataclass(frozen=True)
class Kept:
    """What a store keeps of one session."""

    store: SessionStore
    session: str
    context: Mapping[str, Any]

    async def load(self) -> InteractionState | None:
        """Return what is stored."""
        return await self.store.load(self.session, self.context)

    async def save(self, state: InteractionState) -> None:
        """Save ``state``."""
        await self.store.save(self.session, state, self.context)

    async def delete(self) -> None:
        """Forget the session."""
        await self.store.delete(self.session, self.context)

    async def loaded(self) -> InteractionState:
        """Return what is stored; fail if nothing is."""
        state = await self.load()
        if state is None:
            raise AssertionError("what was saved is not found")
        return state

    async def holds(self, wanted: InteractionState) -> None:
        """Fail unless this is what is stored."""
        found = await self.loaded()
        for field in ("revision", "messages", "private", "diagnostics", "trace"):
            expect(f"{field} of what is loaded", getattr(found, field), getattr(wanted, field))
        expect("what is loaded", found, wanted)

    async def takes(self, state: InteractionState) -> bool:
        """Return whether ``state`` was saved, and not refused as stale."""
        try:
            await self.save(state)
        except StaleStateError:
            return False
        return True

    async def refuses(self, state: InteractionState) -> None:
        """Fail unless saving ``state`` raises ``StaleStateError``."""
        if await self.takes(state):
            raise AssertionError(f"a stale state of revision {state.revision} was saved")


def new_session() -> str:
    """Return an id that nobody else has."""
    return f"turnline-testing-{secrets.token_hex(6)}"


@asynccontextmanager
async def a_session(stores: StoresUnderTest) -> AsyncIterator[Kept]:
    """Give a new session, and delete it."""
    kept = Kept(await stores.open(), new_session(), stores.context)
    try:
        yield kept
    finally:
        await kept.delete()

"""Savers that race: each in a thread with an event loop and a store of its own, as processes are.

Tasks of one event loop would take turns wherever a store awaits nothing.
"""

import asyncio
import sys
import threading
import time
from dataclasses import replace
from typing import Final

from turnline_workers.errors import StaleStateError
from turnline_workers.interaction.state import InteractionState
from turnline_workers.testing.subjects import StoresUnderTest, opened

RACERS: Final = 4
ROUNDS: Final = 500
SECONDS: Final = 2.0
"""After which no new round begins."""

OFTEN: Final = 1e-6
"""Seconds after which another thread may go on, so that savers meet wherever they can."""

PATIENCE: Final = 20.0
"""Seconds that a round may take."""


class Race:
    """Saves one session from several threads, in rounds.

    In a round all load the session, and then all save what they loaded.
    """

    def __init__(self, stores: StoresUnderTest, session: str) -> None:
        self._stores = stores
        self._session = session
        self._until = time.monotonic() + SECONDS
        self._rounds = 0
        self._is_over = False
        self._wins: list[int] = []
        self._errors: list[Exception] = []
        self._barrier = threading.Barrier(RACERS, self._next_round, PATIENCE)

    async def wins(self) -> int:
        """Run the race; return how many saves were taken.

        Raises:
            Exception: what a store raised that is no ``StaleStateError``.
        """
        threads = [
            threading.Thread(target=self._run, args=(number,), daemon=True)
            for number in range(RACERS)
        ]
        interval = sys.getswitchinterval()
        try:
            sys.setswitchinterval(OFTEN)
            for thread in threads:
                thread.start()
            # No event: the loop may be gone by the time that a thread would set it.
            while any(thread.is_alive() for thread in threads):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        finally:
            sys.setswitchinterval(interval)
            self._barrier.abort()
        for error in self._errors:
            raise error
        return sum(self._wins)

    def _next_round(self) -> None:
        """Called by one of them, when all have come."""
        self._rounds += 1
        self._is_over = self._rounds > ROUNDS or time.monotonic() > self._until

    def _run(self, number: int) -> None:
        try:
            asyncio.run(self._save(f"racer {number}"))
        except threading.BrokenBarrierError:
            if not self._errors:
                self._errors.append(TimeoutError(f"a round took over {PATIENCE:g} s"))
        except Exception as error:  # noqa: BLE001 - a store may raise anything
            self._errors.append(error)
            self._barrier.abort()

    async def _save(self, text: str) -> None:
        context = self._stores.context
        async with asyncio.timeout(SECONDS + PATIENCE), opened(self._stores.make) as open_one:
            store = await open_one()
            while True:
                found = await store.load(self._session, context) or InteractionState()
                self._barrier.wait()
                if self._is_over:
                    return
                try:
                    await store.save(self._session, replace(found, private={"text": text}), context)
                except StaleStateError:
                    continue
                self._wins.append(1)

"""Forgets terminal events once they are in the log, many at a time."""

import asyncio
from contextlib import suppress
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from turnline_schemas.errors import PostgresUnavailableError
from turnline_workers.flow import TerminalEvent
from turnline_workers.store.commit import clear_outbox

EVERY: Final = 0.25
"""Seconds between two clearings; one statement serves all turns that ended meanwhile."""

logger = structlog.get_logger(__name__)


class Outbox:
    """What this process has published and Postgres does not know yet.

    Losing it is harmless: the sweep publishes again, and the log drops the repetition.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._published: list[TerminalEvent] = []
        self._task: asyncio.Task[None] | None = None

    def published(self, event: TerminalEvent) -> None:
        """Note that ``event`` is in the log."""
        self._published.append(event)

    def start(self) -> None:
        """Begin to clear, on the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Clear what is left and end."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self.clear()

    async def clear(self) -> None:
        """Clear now."""
        events, self._published = self._published, []
        if not events:
            return
        try:
            await clear_outbox(self._engine, events)
        except PostgresUnavailableError as error:
            logger.warning("outbox.not_cleared", events=len(events), error=str(error))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            await self.clear()

"""Small functions that tests of foreign code share."""

import asyncio

from turnline_workers import TurnState


async def cancelled_inside() -> None:
    """Await something that was cancelled."""
    task = asyncio.ensure_future(asyncio.sleep(5))
    task.cancel()
    await task


def same(turn: TurnState) -> TurnState:
    """Change nothing."""
    return turn

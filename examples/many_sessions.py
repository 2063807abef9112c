"""Enqueue and follow several sessions at once, from one event loop."""

import asyncio
import os

from turnline_consumer import afollow
from turnline_producer import AsyncProducer

REDIS = os.environ["TURNLINE_REDIS_URL"]


async def converse(producer: AsyncProducer, session: str) -> None:
    """Play two turns of one session and say when they end."""
    async with afollow(session, after="latest", redis_url=REDIS) as events:
        turns = [(await producer.enqueue(session, f"Question {n}")).turn for n in (1, 2)]
        async for event in events:
            if event.terminal:
                print(f"{session}: turn {turns.index(event.turn) + 1} {event.type} at {event.seq}")
            if event.terminal and event.turn == turns[-1]:
                return


async def main() -> None:
    """Converse in five sessions."""
    async with AsyncProducer(REDIS) as producer:
        await asyncio.gather(*(converse(producer, f"many-{n}") for n in range(5)))


asyncio.run(main())

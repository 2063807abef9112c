"""A chat in this process: no queue, no server, no network; each answer streams."""

import asyncio

from turnline_schemas.event_data import TextDelta
from turnline_workers import Assistant, IteratorStream, MemoryStore, Session

assistant = Assistant(model="builtin", name="in_process", instructions="Be brief.")
store = MemoryStore()


async def say(text: str) -> None:
    """Play one turn of the session, and print it."""
    events = IteratorStream()
    session = Session("demo", assistant=assistant, store=store, events=events)
    playing = asyncio.create_task(session.send(text))
    playing.add_done_callback(lambda _: events.close())
    print(f"you: {text}\nassistant: ", end="")
    async for event in events:
        if isinstance(event.data, TextDelta):
            print(event.data.delta, end="", flush=True)
    outcome = await playing
    print(f"\n[{outcome.usage.output} tokens, {len(session.state.messages)} messages by now]")


async def main() -> None:
    """Say two things, one after the other."""
    await say("Hello!")
    await say("And again.")


if __name__ == "__main__":
    asyncio.run(main())

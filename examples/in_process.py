"""A chat in this process: no queue, no server, no network; each answer streams."""

import asyncio

from turnline_schemas.event_data import TextDelta
from turnline_workers import Assistant, IteratorStream, Session

assistant = Assistant(model="builtin", name="in_process", instructions="Be brief.")


async def say(session: Session, events: IteratorStream, text: str) -> None:
    """Play one turn."""
    print(f"you: {text}\nassistant: ", end="")
    playing = asyncio.create_task(session.send(text))
    async for event in events:
        if isinstance(event.data, TextDelta):
            print(event.data.delta, end="", flush=True)
        if event.terminal:
            break
    print(f"\n[{(await playing).usage.output} tokens]")


async def main() -> None:
    """Say two things, one after the other."""
    events = IteratorStream()
    session = Session("demo", assistant=assistant, events=events)
    await say(session, events, "Hello!")
    await say(session, events, "And again.")
    print(len(session.state.messages), "messages in", session.session)


if __name__ == "__main__":
    asyncio.run(main())

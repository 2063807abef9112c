"""An assistant with tools, played in this process: no queue, no server, no network.

The offline model calls the tools that the turn's context names; a real one decides by itself.
"""

import asyncio

from turnline_workers import Assistant, IteratorStream, Session, Tool, ToolContext


async def get_weather(city: str, ctx: ToolContext) -> dict[str, str]:
    """Tell the weather of a city."""
    ctx.source(f"Weather of {city}", url="https://example.org/weather")
    return {"city": city, "sky": "clear"}


assistant = Assistant("builtin", tools=[Tool(get_weather, effects="pure")])
script = {
    "calls": [{"name": "get_weather", "arguments": {"city": city}} for city in ("Oslo", "Rome")],
    "text": "It is clear in both.",
}


async def main() -> None:
    """Ask once, and print every event."""
    events = IteratorStream()
    session = Session("demo", assistant=assistant, events=events)
    asking = asyncio.create_task(session.send("How is the weather?", context={"builtin": script}))
    asking.add_done_callback(lambda _: events.close())
    async for event in events:
        print(f"{event.seq:>2} {event.type}  {event.data.model_dump_json(exclude_none=True)}")
    for message in (await asking).messages:
        print(f"{message.role:>9}: {message.content}")


asyncio.run(main())

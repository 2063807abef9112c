"""An assistant with tools that run side by side and name what their results rest on.

The offline model calls the tools that the turn's context names; a real one decides by itself.
"""

import asyncio

from turnline_workers import Assistant, IteratorStream, Session, Tool, ToolContext


async def get_weather(city: str, ctx: ToolContext) -> dict[str, str]:
    """Tell the weather of a city."""
    ctx.source(f"Weather of {city}", url="https://example.org/weather")
    return {"city": city, "sky": "clear"}


assistant = Assistant("builtin", name="tools", tools=[Tool(get_weather, effects="pure")])
SCRIPT = {
    "calls": [{"name": "get_weather", "arguments": {"city": city}} for city in ("Oslo", "Rome")],
    "text": "It is clear in both.",
}


async def main() -> None:
    """Ask once, and print every event."""
    events = IteratorStream()
    session = Session("demo", assistant=assistant, events=events)
    asking = asyncio.create_task(session.send("How is the weather?", context={"builtin": SCRIPT}))
    asking.add_done_callback(lambda _: events.close())
    async for event in events:
        print(f"{event.seq:>2} {event.type}  {event.data.model_dump_json(exclude_none=True)}")
    for message in (await asking).messages:
        print(f"{message.role:>9}: {message.content}")


if __name__ == "__main__":
    asyncio.run(main())

"""A tool that asks a person before it acts: the turn pauses, and goes on with the answer."""

import asyncio

from turnline_workers import Assistant, MemoryStore, Session, Tool, ToolContext

YES_OR_NO = {"type": "boolean"}


def book_hotel(name: str, ctx: ToolContext) -> str:
    """Book a hotel, if a person agrees."""
    agreed = ctx.ask("approval", {"book": name}, schema=YES_OR_NO)
    return f"{name} is booked" if agreed else "not booked: the guest said no"


assistant = Assistant("builtin", name="approval", tools=[Tool(book_hotel)])
SCRIPT = {"calls": [{"name": "book_hotel", "arguments": {"name": "Ritz"}}], "text": "As you wish."}


async def main() -> None:
    """Ask, answer no, and print what was said."""
    store = MemoryStore()
    session = Session("demo", assistant=assistant, store=store)
    paused = await session.send("Book me a room", context={"builtin": SCRIPT})
    print("asked:", paused.question.kind, paused.question.payload)

    later = Session("demo", assistant=assistant, store=store)  # as after a restart
    outcome = await later.resume(False)
    for message in outcome.messages:
        print(f"{message.role:>9}: {message.content}")


if __name__ == "__main__":
    asyncio.run(main())

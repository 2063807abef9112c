"""An assistant whose tools and policy do what they should not."""

import asyncio
import sys
import threading

from turnline_workers import Assistant, InteractionState, Tool, ToolContext
from turnline_workers.policies import Policies

FOR_EVER = threading.Event()


def hang() -> None:
    """Never return."""
    FOR_EVER.wait()


async def cancel_inside() -> None:
    """Await something that was cancelled."""
    task = asyncio.ensure_future(asyncio.sleep(60))
    task.cancel()
    await task


def break_words() -> None:
    """Fail with what cannot be stored."""
    raise ValueError("\x00 and \ud800")


def ask_oddly(ctx: ToolContext) -> object:
    """Ask with a schema that refers to nothing."""
    return ctx.ask("approval", schema={"$ref": "#/nope"})


def leave(state: InteractionState) -> InteractionState:
    """End the process, if it could."""
    sys.exit(1)


wicked = Assistant(
    name="wicked",
    model="builtin",
    tools=[
        Tool(hang, timeout=0.5, effects="pure"),
        Tool(cancel_inside, effects="pure"),
        Tool(break_words, effects="pure"),
        Tool(ask_oddly, effects="pure"),
    ],
)
leaving = Assistant(name="leaving", model="builtin", policies=Policies(truncate=leave))

"""An assistant that asks a provider, in workers that die at chosen moments, once in all of them."""

import asyncio
import os
from pathlib import Path

from turnline_workers import Assistant, Tool, ToolContext

NOTES = Path(os.environ["FAULTS_DIR"])


def _die_once(moment: str, turn: str) -> None:
    if not turn.startswith(moment):
        return
    try:
        (NOTES / f"{turn}.died").touch(exist_ok=False)
    except FileExistsError:
        return
    os._exit(9)


async def get_weather(city: str, ctx: ToolContext) -> dict[str, str]:
    """Tell the weather of a city."""
    _die_once("as-the-tool-begins", ctx.turn)
    with (NOTES / "weather.txt").open("a") as file:
        file.write(f"{ctx.key} {city}\n")
    if ctx.turn.startswith("as-the-model-goes-on"):
        # Once the result is on record, the model is asked again; that is when it strikes.
        asyncio.get_running_loop().call_later(1.5, _die_once, "as-the-model-goes-on", ctx.turn)
    return {"city": city, "sky": "clear"}


concierge = Assistant(
    name="concierge",
    model="openai-chat:gpt-4o",
    instructions="Be brief.",
    tools=[Tool(get_weather, effects="idempotent")],
)

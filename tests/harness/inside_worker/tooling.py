"""An assistant with tools; what is called leaves a line in a file that tests count."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

from turnline_workers.interaction.assistant import Assistant
from turnline_workers.interaction.model import ModelCall, ModelItem
from turnline_workers.interaction.tools import Tool, ToolContext
from turnline_workers.models.builtin import BuiltinModel


def _note(what: str) -> None:
    with (Path(os.environ["FAULTS_DIR"]) / "called.txt").open("a") as file:
        file.write(f"{what}\n")


class CountedModel:
    """The offline model, which notes each call."""

    name = "counted"

    async def stream(self, call: ModelCall) -> AsyncIterator[ModelItem]:
        """Note it, and answer."""
        _note(f"model {call.turn} {call.messages[-1].role}")
        async for item in BuiltinModel().stream(call):
            yield item


def look(ctx: ToolContext, what: str) -> dict[str, str]:
    """Look something up."""
    _note(f"look {ctx.key}")
    ctx.source("A page", text=f"about {what}")
    return {"seen": what}


def book(ctx: ToolContext, hotel: str, seconds: float | None = None) -> str:
    """Book a hotel, if a person agrees."""
    wait = None if seconds is None else timedelta(seconds=seconds)
    agreed = ctx.ask("approval", {"hotel": hotel}, schema={"type": "boolean"}, expires_in=wait)
    _note(f"book {ctx.key} {agreed}")
    return "booked" if agreed else "not booked"


async def pay(ctx: ToolContext, amount: int) -> dict[str, int]:
    """Pay, which takes a while, and must not be done twice."""
    _note(f"pay {ctx.key}")
    await asyncio.sleep(3)
    return {"paid": amount}


helpful = Assistant(
    CountedModel(),
    name="helpful",
    tools=[Tool(look, effects="pure"), Tool(book), Tool(pay)],
)
strict = Assistant(CountedModel(), name="strict", tools=[Tool(book)], while_paused="refuse")

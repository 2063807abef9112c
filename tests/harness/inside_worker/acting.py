"""Assistants that behave as tests need them; workers load them with TURNLINE_ASSISTANTS."""

import os
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import replace

from turnline_workers.interaction.assistant import Assistant
from turnline_workers.interaction.model import Delta, End, ModelCall
from turnline_workers.interaction.pipeline import Pack, Step
from turnline_workers.interaction.policies import Policies
from turnline_workers.interaction.state import InteractionState, TurnState
from turnline_workers.models.builtin import BuiltinModel


def keep_two_turns(state: InteractionState) -> InteractionState:
    """Let the model see the last two turns only."""
    return replace(state, messages=state.messages[-4:])


def trip(turn: TurnState) -> TurnState:
    """Fail, as a user's step may."""
    raise LookupError(f"no shoelace {turn.turn!r}")


def take_the_worker_down(turn: TurnState) -> TurnState:
    """End the process, as a native library may."""
    os._exit(17)


def block(turn: TurnState) -> TurnState:
    """Hold a thread for as many seconds as the context says."""
    threading.Event().wait(float(turn.context["seconds"]))
    return turn


async def hog(turn: TurnState) -> TurnState:
    """Hold the event loop itself for as many seconds as the context says."""
    until = time.monotonic() + float(turn.context["seconds"])
    while time.monotonic() < until:
        pass
    return turn


class BrokenModel:
    """Says a few words, then raises what no adapter should."""

    name = "broken"

    async def stream(self, call: ModelCall) -> AsyncIterator[Delta | End]:
        """Answer half."""
        yield Delta("I was ")
        yield Delta("about to")
        raise ZeroDivisionError("no adapter should")


def _with_step(name: str, step: Step) -> Assistant:
    return Assistant(BuiltinModel(), name=name, packs=(Pack("stage", (step,)),))


brief = Assistant(BuiltinModel(), name="brief", policies=Policies(truncate=keep_two_turns))
tripping = _with_step("tripping", Step("trip", trip, depends_on=("core.run-model",)))
deadly = _with_step("deadly", Step("fall", take_the_worker_down))
blocking = _with_step("blocking", Step("block", block))
hogging = _with_step("hogging", Step("hog", hog))
broken = Assistant(BrokenModel(), name="broken")

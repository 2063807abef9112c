"""The core pack: capture the input, run the model, run the tools it calls, and so on."""

from collections.abc import Mapping

from turnline_workers.interaction.model import Model, WholeModel
from turnline_workers.interaction.pipeline import Pack, Step
from turnline_workers.interaction.run_model import Retry, model_step
from turnline_workers.interaction.run_tools import open_calls, tools_step
from turnline_workers.interaction.state import TurnState
from turnline_workers.interaction.tools import Tool

CORE = "core"


def core_pack(
    model: Model | WholeModel, instructions: str, tools: Mapping[str, Tool], retry: Retry
) -> Pack:
    """Return the pack that every assistant has."""
    specs = tuple(tool.spec for tool in tools.values())
    return Pack(
        CORE,
        (
            Step("capture-input", capture_input, announced=False, journaled=False),
            Step(
                "run-model",
                model_step(model, instructions, specs, retry),
                depends_on=("capture-input",),
            ),
            Step(
                "run-tools",
                tools_step(tools),
                depends_on=("run-model",),
                when=open_calls,
                loops_to="run-model",
            ),
        ),
    )


async def capture_input(turn: TurnState) -> TurnState:
    """Make the user's message part of the conversation, unless the turn's begin did so."""
    return turn if turn.messages else turn.adding(turn.input)

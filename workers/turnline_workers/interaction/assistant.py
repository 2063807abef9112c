"""An assistant: a model, its instructions, its tools, and how its turns are played."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from turnline_schemas.errors import ConfigurationError
from turnline_workers.interaction.core import core_pack
from turnline_workers.interaction.model import Model, WholeModel
from turnline_workers.interaction.pipeline import Pack, PlannedStep, explain, plan
from turnline_workers.interaction.policies import Policies, Shaping
from turnline_workers.interaction.run_model import Retry
from turnline_workers.interaction.tools import Tool

MAX_MODEL_CALLS = 16

WhilePaused = Literal["wait", "refuse"]


@dataclass(frozen=True)
class Assistant:
    """What answers the turns that name it.

    Building one checks its pipeline: unknown or circular dependencies are a
    ``ConfigurationError`` at start, not a failed turn later.
    """

    model: Model | WholeModel | str
    """An adapter, or the name of a model (see ``named``)."""
    name: str = "default"
    instructions: str = ""
    tools: Sequence[Tool] = ()
    """What the model may call."""
    packs: Sequence[Pack] = ()
    """More steps beside the core pack; a pack named ``core`` replaces it."""
    policies: Policies | Sequence[Policies] = field(default_factory=Policies)
    max_model_calls: int = MAX_MODEL_CALLS
    """Calls of the model in one turn, before a turn that goes on calling tools fails."""
    retry: Retry = field(default_factory=Retry)
    """What to do when a call of the model fails and may succeed later."""
    while_paused: WhilePaused = "wait"
    """What becomes of turns that arrive while one of this assistant's turns waits for an answer.

    ``refuse`` refuses them with the reason ``session_paused``; what was accepted before the pause
    waits in any case.
    """
    steps: tuple[PlannedStep, ...] = field(init=False)
    """The plan: every step in the order in which it runs."""
    shaping: Shaping = field(init=False)
    """All policies as one."""
    adapter: Model | WholeModel = field(init=False)
    """The model itself."""

    @staticmethod
    def named(name: str) -> Model | WholeModel:
        """Return the model of that name.  The core alone knows none.

        Raises:
            ConfigurationError: with what to do.
        """
        raise ConfigurationError(f"model {name!r}: names need turnline_workers.Assistant")

    def check(self) -> None:
        """Make sure that the model can be used: its libraries are there, and its key.

        Raises:
            ConfigurationError: saying what to install or to set.
        """
        for model in (self.adapter, *self.shaping.models):
            check = getattr(model, "check", None)
            if check is not None:
                check()

    def __post_init__(self) -> None:
        given = (self.policies,) if isinstance(self.policies, Policies) else self.policies
        for what, each, kind in (
            *(("tools", tool, Tool) for tool in self.tools),
            *(("packs", pack, Pack) for pack in self.packs),
            *(("policies", policy, Policies) for policy in given),
        ):
            if not isinstance(each, kind):
                raise ConfigurationError(
                    f"assistant {self.name!r}: {what} holds {each!r}, which is no {kind.__name__};"
                    f" write {kind.__name__}(...)"
                )
        if self.max_model_calls < 1:
            raise ConfigurationError(f"assistant {self.name!r}: max_model_calls is below 1")
        adapter = self.named(self.model) if isinstance(self.model, str) else self.model
        if not (hasattr(adapter, "stream") or hasattr(adapter, "generate")):
            raise ConfigurationError(
                f"assistant {self.name!r}: {adapter!r} is no model, nor the name of one"
            )
        object.__setattr__(self, "adapter", adapter)
        tools = {tool.name: tool for tool in self.tools}
        if len(tools) != len(self.tools):
            raise ConfigurationError(f"assistant {self.name!r} has two tools of one name")
        if self.while_paused not in get_args(WhilePaused):
            problem = f"while_paused is {self.while_paused!r}, not 'wait' or 'refuse'"
            raise ConfigurationError(f"assistant {self.name!r}: {problem}")
        packs = (core_pack(adapter, self.instructions, tools, self.retry), *self.packs)
        object.__setattr__(self, "steps", plan(packs))
        object.__setattr__(self, "shaping", Shaping(given, adapter, self.named))

    def explain(self) -> str:
        """Return the plan as text, for people."""
        return explain(self.steps)

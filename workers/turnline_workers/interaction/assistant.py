"""An assistant: a model, its instructions, and how its turns are played."""

from dataclasses import dataclass, field

from turnline_workers.interaction.core import core_pack
from turnline_workers.interaction.model import Model
from turnline_workers.interaction.pipeline import Pack, PlannedStep, plan
from turnline_workers.interaction.policies import Policies


@dataclass(frozen=True)
class Assistant:
    """What answers the turns that name it.

    Building one checks its pipeline: unknown or circular dependencies are a
    ``ConfigurationError`` at start, not a failed turn later.
    """

    model: Model
    name: str = "default"
    instructions: str = ""
    packs: tuple[Pack, ...] = ()
    """More steps beside the core pack; a pack named ``core`` replaces it."""
    policies: Policies = field(default_factory=Policies)
    steps: tuple[PlannedStep, ...] = field(init=False)
    """The plan: every step in the order in which it runs."""

    def __post_init__(self) -> None:
        packs = (core_pack(self.model, self.instructions), *self.packs)
        object.__setattr__(self, "steps", plan(packs))

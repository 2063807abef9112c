"""The ordered steps of a turn: packs of steps in, one checked sequence out."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from turnline_schemas.errors import ConfigurationError
from turnline_schemas.event import EventData
from turnline_workers.interaction.state import TurnState

StepFunction = (
    Callable[[TurnState], TurnState]
    | Callable[[TurnState], Awaitable[TurnState]]
    | Callable[[TurnState], AsyncIterator[EventData | TurnState]]
)
"""Takes the turn, returns it changed.  A streaming step yields events, and the turn as it grows."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a turn."""

    name: str
    run: StepFunction
    depends_on: tuple[str, ...] = ()
    """Steps that come before: a name in the same pack, or ``pack.step``."""
    priority: int = 0
    """Among steps that may come next, higher first."""


@dataclass(frozen=True, slots=True)
class Pack:
    """A named bundle of steps.  A later pack of the same name replaces an earlier one."""

    name: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step at its place in the plan."""

    name: str
    """``pack.step``."""
    run: StepFunction


def plan(packs: Iterable[Pack]) -> tuple[PlannedStep, ...]:
    """Put the steps of ``packs`` in order: dependencies, then priority, then order of naming.

    Raises:
        ConfigurationError: a dependency is unknown, or steps depend on each other in a circle.
    """
    newest = {pack.name: pack for pack in packs}
    steps = {f"{pack.name}.{step.name}": step for pack in newest.values() for step in pack.steps}
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for name, step in steps.items():
        sorter.add(name, *_resolve(name, step.depends_on, steps))
    try:
        sorter.prepare()
    except CycleError as error:
        raise ConfigurationError(
            f"steps depend on each other: {' -> '.join(error.args[1])}"
        ) from error
    return tuple(PlannedStep(name, steps[name].run) for name in _ordered(sorter, steps))


def _ordered(sorter: TopologicalSorter[str], steps: dict[str, Step]) -> list[str]:
    order: list[str] = []
    named = {name: place for place, name in enumerate(steps)}
    ready: list[str] = []
    while sorter.is_active():
        ready.extend(sorter.get_ready())
        ready.sort(key=lambda name: (-steps[name].priority, named[name]))
        order.append(name := ready.pop(0))
        sorter.done(name)
    return order


def _resolve(name: str, depends_on: Sequence[str], steps: dict[str, Step]) -> list[str]:
    pack = name.partition(".")[0]
    resolved = [other if "." in other else f"{pack}.{other}" for other in depends_on]
    for other in resolved:
        if other not in steps:
            raise ConfigurationError(f"step {name!r} depends on {other!r}, which no pack has")
    return resolved

"""The ordered steps of a turn: packs of steps in, one checked sequence out."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from turnline_schemas.errors import ConfigurationError
from turnline_schemas.event_data import EventData, TraceEntry
from turnline_workers.interaction.journal import Record
from turnline_workers.interaction.state import TurnState

StepFunction = (
    Callable[[TurnState], TurnState]
    | Callable[[TurnState], Awaitable[TurnState]]
    | Callable[[TurnState], AsyncIterator[EventData | TurnState]]
    | Callable[[TurnState], AsyncIterator[EventData | TurnState | Record | TraceEntry]]
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
    when: Callable[[TurnState], bool] | None = None
    """Whether it runs at all, by what the turn is at its place; always unless given.  Must say
    the same whenever it is asked of the same turn."""
    loops_to: str | None = None
    """After it ran, go on with this step, named as a dependency is, and not with the next one."""
    announced: bool = True
    """Whether readers are told that it began and ended."""
    journaled: bool = True
    """Whether it must not run again in another attempt; False for one that costs and does nothing
    that a second run would change."""


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
    step: Step
    after: tuple[str, ...] = ()
    """Full names of the steps it depends on."""
    loops_to: int | None = None
    """Place in the plan where it goes on after it ran; None for the next one."""


def plan(packs: Iterable[Pack]) -> tuple[PlannedStep, ...]:
    """Put the steps of ``packs`` in order: dependencies, then priority, then order of naming.

    Raises:
        ConfigurationError: a dependency is unknown, or steps depend on each other in a circle.
    """
    newest = {pack.name: pack for pack in packs}
    for pack in newest.values():
        _check(pack)
    if not any(pack.steps for pack in newest.values()):
        raise ConfigurationError("no pack has a step: nothing would answer")
    steps = {f"{pack.name}.{step.name}": step for pack in newest.values() for step in pack.steps}
    after = {name: _resolve(name, step.depends_on, steps) for name, step in steps.items()}
    sorter: TopologicalSorter[str] = TopologicalSorter(after)
    try:
        sorter.prepare()
    except CycleError as error:
        raise ConfigurationError(
            f"steps depend on each other: {' -> '.join(error.args[1])}"
        ) from error
    order = _ordered(sorter, steps)
    return tuple(
        PlannedStep(name, steps[name], tuple(after[name]), _loop(name, steps, order))
        for name in order
    )


def explain(steps: Sequence[PlannedStep]) -> str:
    """Return the plan as text: one line per step, with what it waits for and where it loops to."""
    width = max(len(step.name) for step in steps)
    lines = []
    for number, step in enumerate(steps, start=1):
        notes = [f"after {', '.join(step.after)}"] if step.after else []
        if step.step.priority:
            notes.append(f"priority {step.step.priority}")
        if step.step.when is not None:
            notes.append("only when needed")
        if step.loops_to is not None:
            notes.append(f"then again from {steps[step.loops_to].name}")
        lines.append(f"{number:>2}. {step.name:<{width}}  {'; '.join(notes)}".rstrip())
    return "\n".join(lines)


def _check(pack: Pack) -> None:
    names = [step.name for step in pack.steps]
    for name in (pack.name, *names):
        if not name or "." in name:
            raise ConfigurationError(
                f"pack {pack.name!r}: {name!r} is no name; it must not be empty and has no dot"
            )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f"pack {pack.name!r} has two steps {twice[0]!r}")
    for step in pack.steps:
        if isinstance(step.depends_on, str):
            raise ConfigurationError(
                f"step '{pack.name}.{step.name}': depends_on is a text, not a tuple of texts:"
                f" write ({step.depends_on!r},)"
            )


def _loop(name: str, steps: dict[str, Step], order: list[str]) -> int | None:
    target = steps[name].loops_to
    if target is None:
        return None
    (resolved,) = _resolve(name, (target,), steps)
    if order.index(resolved) > order.index(name):
        raise ConfigurationError(f"step {name!r} loops to {resolved!r}, which comes after it")
    return order.index(resolved)


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
            known = ", ".join(steps)
            raise ConfigurationError(
                f"step {name!r} depends on {other!r}, which no pack has; known: {known}"
            )
    return resolved

"""Merge, summarize, truncate: functions from state to state that shape the view.

Policies change what the model sees.  The transcript keeps every message whatever they do.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from turnline_workers.interaction.foreign import called
from turnline_workers.interaction.model import Model, WholeModel
from turnline_workers.interaction.shaped import shaped
from turnline_workers.interaction.state import InteractionState
from turnline_workers.interaction.tokens import with_count

Merge = Callable[
    [InteractionState, InteractionState], InteractionState | Awaitable[InteractionState]
]
Reshape = Callable[[InteractionState], InteractionState | Awaitable[InteractionState]]


@dataclass(frozen=True, slots=True)
class WithModel:
    """A policy that calls a model, and gets it from the assistant that it belongs to."""

    policy: Callable[[Model | WholeModel, InteractionState], Awaitable[InteractionState]]
    model: Model | WholeModel | str | None = None
    """An adapter, the name of a model, or None for the assistant's own."""


@dataclass(frozen=True, slots=True)
class Policies:
    """What happens to the view after a completed turn, in this order.  All are optional."""

    merge: Merge | None = None
    """From the state before the turn and the one after it, the state to keep."""
    summarize: Reshape | WithModel | None = None
    """Also asked once when a model says that the view is too long for it."""
    truncate: Reshape | None = None
    name: str = ""
    """How ``turnline show --view`` calls it; the functions' own names unless given."""
    quick: bool = False
    """Whether its plain functions take no time worth mentioning, and need no thread to run in."""


@dataclass(frozen=True, slots=True)
class _Policy:
    name: str
    run: Callable[..., Any]
    quick: bool

    async def __call__(self, *states: InteractionState) -> InteractionState:
        """Return the state after the last of ``states``, with a note of what was changed."""
        result = self.run(*states) if self.quick else await called(self.run, *states)
        if not isinstance(result, InteractionState):
            raise TypeError(
                f"policy {self.name} returned {type(result).__name__}, not InteractionState"
            )
        return shaped(self.name, states[-1], result)


class Shaping:
    """All policies of an assistant: all merges, then all summaries, then all truncations, each
    kind in the order given."""

    def __init__(
        self,
        policies: Iterable[Policies],
        model: Model | WholeModel,
        named: Callable[[str], Model | WholeModel],
    ) -> None:
        """Bind policies to the models they call.

        Args:
            model: the assistant's own.
            named: finds another one by name.
        """
        each = tuple(policies)
        bound = [(one, _Binding(one.summarize, model, named)) for one in each if one.summarize]
        self.models = tuple(binding.model for _, binding in bound if binding.model is not None)
        """Models that policies call."""
        self._merges = [_policy(one, one.merge) for one in each if one.merge]
        self._summaries = [_policy(one, binding.run) for one, binding in bound]
        self._truncations = [_policy(one, one.truncate) for one in each if one.truncate]

    @property
    def can_summarize(self) -> bool:
        """Whether there is a way to make the view shorter when a model refuses it."""
        return bool(self._summaries)

    @property
    def may_take_long(self) -> bool:
        """Whether a policy may take its time, so that the answer is recorded before it runs."""
        every = (*self._merges, *self._summaries, *self._truncations)
        return any(not each.quick for each in every)

    async def apply(self, previous: InteractionState, new: InteractionState) -> InteractionState:
        """Return the state to save after a completed turn."""
        if not (self._merges or self._summaries or self._truncations):
            return new
        state = new = with_count(new)
        for merge in self._merges:
            state = await merge(previous, state)
        state = await self.summarized(state)
        for truncate in self._truncations:
            state = await truncate(state)
        return state

    async def summarized(self, state: InteractionState) -> InteractionState:
        """Return the state with the summarize policies applied, if there are any."""
        for summarize in self._summaries:
            state = await summarize(state)
        return state


class _Binding:
    """A summarize policy, and the model that it calls, if it calls one of an assistant."""

    def __init__(
        self,
        policy: Reshape | WithModel,
        own: Model | WholeModel,
        named: Callable[[str], Model | WholeModel],
    ) -> None:
        self.model: Model | WholeModel | None = None
        self.run: Reshape
        if isinstance(policy, WithModel):
            wanted = policy.model
            model = own if wanted is None else named(wanted) if isinstance(wanted, str) else wanted
            self.model, self.run = model, partial(policy.policy, model)
        else:
            self.run = policy


def _policy(policies: Policies, run: Callable[..., Any]) -> _Policy:
    name = policies.name or getattr(run, "__name__", type(run).__name__)
    return _Policy(name, run, policies.quick)

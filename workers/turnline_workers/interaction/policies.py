"""Merge, summarize, truncate: functions from state to state that shape the view.

Policies change what the model sees.  The transcript keeps every message whatever they do.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from turnline_workers.interaction.state import InteractionState

Merge = Callable[
    [InteractionState, InteractionState], InteractionState | Awaitable[InteractionState]
]
Reshape = Callable[[InteractionState], InteractionState | Awaitable[InteractionState]]


@dataclass(frozen=True, slots=True)
class Policies:
    """What happens to the view after a completed turn, in this order.  All are optional."""

    merge: Merge | None = None
    """From the state before the turn and the one after it, the state to keep."""
    summarize: Reshape | None = None
    """Also asked once when a model says that the view is too long for it."""
    truncate: Reshape | None = None

    @property
    def can_summarize(self) -> bool:
        """Whether there is a way to make the view shorter when a model refuses it."""
        return self.summarize is not None

    @property
    def may_take_long(self) -> bool:
        """Whether a policy may call a model, so that the answer is recorded before it runs."""
        return self.summarize is not None or any(
            inspect.iscoroutinefunction(policy) for policy in (self.merge, self.truncate)
        )

    async def apply(self, previous: InteractionState, new: InteractionState) -> InteractionState:
        """Return the state to save after a completed turn."""
        state = new
        if self.merge is not None:
            state = await _awaited(self.merge(previous, new))
        state = await self.summarized(state)
        if self.truncate is not None:
            state = await _awaited(self.truncate(state))
        return state

    async def summarized(self, state: InteractionState) -> InteractionState:
        """Return the state with the summarize policy applied, if there is one."""
        return state if self.summarize is None else await _awaited(self.summarize(state))


def combined(policies: Iterable[Policies]) -> Policies:
    """Return one set of policies that applies several: all merges, then all summaries, then all
    truncations, each kind in the order given."""
    each = tuple(policies)
    merges = [one.merge for one in each if one.merge is not None]
    return Policies(
        _chained_merges(merges) if merges else None,
        _chained([one.summarize for one in each if one.summarize is not None]),
        _chained([one.truncate for one in each if one.truncate is not None]),
    )


def _chained(policies: list[Reshape]) -> Reshape | None:
    if len(policies) < 2:
        return policies[0] if policies else None

    async def reshape(state: InteractionState) -> InteractionState:
        for policy in policies:
            state = await _awaited(policy(state))
        return state

    return reshape


def _chained_merges(policies: list[Merge]) -> Merge:
    async def merge(previous: InteractionState, new: InteractionState) -> InteractionState:
        for policy in policies:
            new = await _awaited(policy(previous, new))
        return new

    return policies[0] if len(policies) == 1 else merge


async def _awaited(result: InteractionState | Awaitable[InteractionState]) -> InteractionState:
    if inspect.isawaitable(result):
        return await result
    return result

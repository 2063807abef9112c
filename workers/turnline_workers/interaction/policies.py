"""Merge, summarize, truncate: functions from state to state that shape the view."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from turnline_workers.interaction.state import InteractionState

Merge = Callable[
    [InteractionState, InteractionState], InteractionState | Awaitable[InteractionState]
]
Reshape = Callable[[InteractionState], InteractionState | Awaitable[InteractionState]]


@dataclass(frozen=True, slots=True)
class Policies:
    """What happens to the view after a completed turn, in this order.  All are optional.

    Policies change the view only.  The transcript keeps every message whatever they do.
    """

    merge: Merge | None = None
    """From the state before the turn and the one after it, the state to keep."""
    summarize: Reshape | None = None
    truncate: Reshape | None = None

    async def apply(self, previous: InteractionState, new: InteractionState) -> InteractionState:
        """Return the state to save after a completed turn."""
        state = new
        if self.merge is not None:
            state = await _awaited(self.merge(previous, new))
        for policy in (self.summarize, self.truncate):
            if policy is not None:
                state = await _awaited(policy(state))
        return state


async def _awaited(result: InteractionState | Awaitable[InteractionState]) -> InteractionState:
    if inspect.isawaitable(result):
        return await result
    return result

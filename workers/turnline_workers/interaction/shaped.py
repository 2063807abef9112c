"""What a policy did to the view, so that it can be told which one did it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from turnline_workers.interaction.state import InteractionState, ViewMessage

HIDDEN = "hidden"
"""Key of the private state: by policy, which messages of the transcript it took out of the view."""


def shaped(policy: str, before: InteractionState, after: InteractionState) -> InteractionState:
    """Return ``after`` with a note of what ``policy`` made, changed and hid."""
    said = {each.index: each for each in before.messages if each.index is not None}
    messages = tuple(_signed(policy, each, said) for each in after.messages)
    gone = said.keys() - {each.index for each in messages}
    private = after.private
    if gone:
        turn = before.messages[-1].turn
        hidden: Mapping[str, Any] = private.get(HIDDEN, {})
        mine = _more(hidden.get(policy), {int(index) for index in gone}, turn)
        private = {**private, HIDDEN: {**hidden, policy: mine}}
    return replace(after, messages=messages, private=private)


def _signed(policy: str, message: ViewMessage, said: Mapping[int, ViewMessage]) -> ViewMessage:
    """Note who made the message, or who made another one of it."""
    first = None if message.index is None else said.get(message.index)
    if message is first or message.by is not None:
        return message
    if first is not None and (first.role, first.content) == (message.role, message.content):
        return message
    return message.model_copy(update={"by": policy})


def _more(known: Mapping[str, Any] | None, gone: set[int], turn: str | None) -> dict[str, Any]:
    before = known or {"first": min(gone), "last": 0, "messages": 0}
    return {
        "first": min(before["first"], *gone),
        "last": max(before["last"], *gone),
        "messages": before["messages"] + len(gone),
        "turn": turn,
    }

"""What a policy did to the view, so that it can be told which one did it."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from turnline_schemas.message import Message
from turnline_schemas.storable import check_storable
from turnline_workers.interaction.state import InteractionState, ViewMessage

HIDDEN = "hidden"
"""Key of the private state: by policy, which messages of the transcript it took out of the view."""


def shaped(policy: str, before: InteractionState, after: InteractionState) -> InteractionState:
    """Return ``after`` with a note of what ``policy`` made, changed and hid.

    Raises:
        ValueError, TypeError: what it made cannot be stored.
    """
    said = {each.index: each for each in before.messages if each.index is not None}
    messages = tuple(_signed(policy, _placed(each), said) for each in after.messages)
    if after.private is not before.private:
        check_storable(after.private)
        json.dumps(after.private)
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
    check_storable(message)
    return message.model_copy(update={"by": policy})


def _placed(message: Message) -> ViewMessage:
    """Take a plain message for one that a policy made up."""
    if isinstance(message, ViewMessage):
        return message
    return ViewMessage(role=message.role, content=message.content)


def _more(known: Mapping[str, Any] | None, gone: set[int], turn: str | None) -> dict[str, Any]:
    before = known or {"first": min(gone), "last": 0, "messages": 0}
    return {
        "first": min(before["first"], *gone),
        "last": max(before["last"], *gone),
        "messages": before["messages"] + len(gone),
        "turn": turn,
    }

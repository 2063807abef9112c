"""Ready-made policies that keep the view short.  They cut between turns, never inside one."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from turnline_schemas.errors import ConfigurationError
from turnline_workers.interaction.policies import Policies
from turnline_workers.interaction.state import InteractionState, ViewMessage
from turnline_workers.interaction.tokens import TokenCount, ruler

DROPPED = {"dropped": "an earlier result, no longer shown"}


def keep_last_turns(turns: int) -> Policies:
    """Show the model the last so many turns, and what policies made of older ones."""
    if turns < 1:
        raise ConfigurationError(f"keep_last_turns({turns}): at least one turn")

    def truncate(state: InteractionState) -> InteractionState:
        made, said = parted(state.messages)
        kept = said[-turns:]
        return replace(state, messages=(*made, *[each for turn in kept for each in turn]))

    return Policies(truncate=truncate, name=f"keep_last_turns({turns})", quick=True)


def keep_within(tokens: int, *, count: TokenCount | None = None) -> Policies:
    """Show the model as many of the last turns as fit into a budget, and always the last one.

    Args:
        tokens: of all that a model is sent, if its provider tells how many that is.
        count: a tokenizer; by default what the provider counted is shared out by length, and
            without that it is a guess by length.
    """
    if tokens < 1:
        raise ConfigurationError(f"keep_within({tokens}): at least one token")

    def truncate(state: InteractionState) -> InteractionState:
        measure = ruler(state, count)
        made, said = parted(state.messages)
        left = tokens - measure.overhead - measure(made)
        kept: list[tuple[ViewMessage, ...]] = []
        for turn in reversed(said):
            left -= measure(turn)
            if left < 0 and kept:
                break
            kept.insert(0, turn)
        return replace(state, messages=(*made, *[each for turn in kept for each in turn]))

    return Policies(truncate=truncate, name=f"keep_within({tokens})", quick=count is None)


def drop_tool_payloads(*, older_than: int) -> Policies:
    """Hide what tools returned in all but the last so many turns; the calls stay visible."""
    if older_than < 0:
        raise ConfigurationError(f"drop_tool_payloads(older_than={older_than}): not negative")

    def truncate(state: InteractionState) -> InteractionState:
        made, said = parted(state.messages)
        old = said[: max(0, len(said) - older_than)]
        hidden = [_without_payload(each) for turn in old for each in turn]
        recent = [each for turn in said[len(old) :] for each in turn]
        return replace(state, messages=(*made, *hidden, *recent))

    name = f"drop_tool_payloads(older_than={older_than})"
    return Policies(truncate=truncate, name=name, quick=True)


def parted(
    messages: Sequence[ViewMessage],
) -> tuple[tuple[ViewMessage, ...], list[tuple[ViewMessage, ...]]]:
    """Return what policies made up, and what was said, turn by turn."""
    made = tuple(message for message in messages if message.turn is None)
    return made, list(_turns(message for message in messages if message.turn is not None))


def _turns(messages: Iterator[ViewMessage]) -> Iterator[tuple[ViewMessage, ...]]:
    for _, turn in groupby(messages, key=lambda message: message.turn):
        yield tuple(turn)


def _without_payload(message: ViewMessage) -> ViewMessage:
    if isinstance(message.content, str) or message.role != "tool":
        return message
    parts = tuple(
        part.model_copy(update={"output": DROPPED}) if part.type == "tool-result" else part
        for part in message.content.parts
    )
    if parts == message.content.parts:
        return message
    content = message.content.model_copy(update={"parts": parts})
    return message.model_copy(update={"content": content})

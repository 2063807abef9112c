"""A ready-made policy that lets a model summarize what is too long to be shown."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import JsonValue

from turnline_schemas.errors import ConfigurationError
from turnline_schemas.message import Content, Message, Part
from turnline_workers.errors import ModelError
from turnline_workers.interaction.model import Delta, Model, ModelCall, WholeModel, stream_of
from turnline_workers.interaction.policies import Policies, WithModel
from turnline_workers.interaction.state import InteractionState, ViewMessage
from turnline_workers.interaction.tokens import TokenCount, ruler
from turnline_workers.interaction.windows import parted

INSTRUCTIONS = (
    "Summarize the conversation so far for whoever goes on with it: facts, decisions, names,"
    " numbers and open questions, in the language of the conversation, without comments."
)


def summarize_when(
    *,
    tokens: int,
    model: Model | WholeModel | str | None = None,
    keep_turns: int = 4,
    instructions: str = INSTRUCTIONS,
    count: TokenCount | None = None,
) -> Policies:
    """Replace all but the last turns of the view by a summary once the view is over a budget.

    The summary names the transcript messages that it covers.  If the model fails, the view stays
    as it is, and the next turn tries again.  A model that refuses the view as too long has it
    summarized whatever the budget, all of it if need be.

    Args:
        tokens: the budget of all that a model is sent, if its provider tells how many that is.
        model: who summarizes, an adapter or a name; the assistant's own model unless given.
        keep_turns: how many turns stay as they were said.
        count: a tokenizer; by default what the provider counted is shared out by length, and
            without that it is a guess by length.
    """
    if tokens < 1 or keep_turns < 0:
        raise ConfigurationError("summarize_when(): tokens and keep_turns must be positive")

    async def summarize(by: Model | WholeModel, state: InteractionState) -> InteractionState:
        measure = ruler(state, count)
        if not state.overflowed and measure.overhead + measure(state.messages) <= tokens:
            return state
        made, said = parted(state.messages)
        kept_turns = 0 if state.overflowed and len(said) <= keep_turns else keep_turns
        if kept_turns >= len(said):
            return state
        old, recent = said[: len(said) - kept_turns], said[len(said) - kept_turns :]
        covered = [*made, *[message for turn in old for message in turn]]
        text = await _summary(by, covered, instructions)
        if not text:
            return state
        kept = [message for turn in recent for message in turn]
        return replace(state, messages=(_summary_message(text, covered), *kept))

    return Policies(summarize=WithModel(summarize, model), name=f"summarize_when(tokens={tokens})")


def covers(message: Message) -> tuple[int, int] | None:
    """Return first and last transcript index that a summary covers; None if it is none."""
    raw: Any = None if isinstance(message.content, str) else message.content.raw
    span = raw.get("covers") if isinstance(raw, dict) else None
    return (int(span[0]), int(span[1])) if isinstance(span, list) else None


def _summary_message(text: str, covered: Sequence[ViewMessage]) -> ViewMessage:
    indexes = [message.index for message in covered if message.index is not None]
    for message in covered:
        indexes += covers(message) or ()
    whole = f"Summary of the conversation so far:\n{text}"
    part = Part.model_validate({"type": "text", "text": whole})
    span: JsonValue = [min(indexes, default=0), max(indexes, default=0)]
    content = Content(text=whole, parts=(part,), raw={"covers": span})
    return ViewMessage(role="system", content=content)


async def _summary(
    model: Model | WholeModel, messages: Sequence[ViewMessage], instructions: str
) -> str:
    request = Message(role="user", content=instructions)
    call = ModelCall((*messages, request), instructions, turn="summary")
    try:
        pieces = [
            item.text
            async for item in stream_of(model, call)
            if isinstance(item, Delta) and item.kind == "text"
        ]
    except ModelError:
        # A view that is too long still works, or the turn says why not.
        return ""
    return "".join(pieces).strip()

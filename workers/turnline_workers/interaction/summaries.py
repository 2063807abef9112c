"""A ready-made policy that lets a model summarize what is too long to be shown."""

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from pydantic import JsonValue

from turnline_schemas.errors import ConfigurationError
from turnline_schemas.event_data import Diagnostic
from turnline_schemas.message import Content, Message, Part
from turnline_schemas.storable import storable
from turnline_workers.errors import ModelError
from turnline_workers.interaction.foreign import in_words
from turnline_workers.interaction.model import Delta, Model, ModelCall, WholeModel, pieces_of
from turnline_workers.interaction.policies import Policies, WithModel
from turnline_workers.interaction.state import InteractionState, ViewMessage
from turnline_workers.interaction.tokens import TokenCount, ruler
from turnline_workers.interaction.view import repaired
from turnline_workers.interaction.windows import parted

INSTRUCTIONS = (
    "Summarize the conversation so far for whoever goes on with it: facts, decisions, names,"
    " numbers and open questions, in the language of the conversation, without comments."
)


SILENCE = 120.0
"""Seconds without any piece of a summary, after which it has failed."""


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
        try:
            text = await _summary(by, covered, instructions)
        except Exception as error:  # noqa: BLE001 - a model may raise anything; the answer is there
            # A view that is too long still works, or the turn says why not.
            failed = Diagnostic(code="summary_failed", message=in_words(error))
            return replace(state, diagnostics=(*state.diagnostics, failed))
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
    """Return what the model makes of the messages.

    Raises:
        ModelError: it failed, or said nothing.
    """
    request = Message(role="user", content=instructions)
    shown, _ = repaired((*messages, request))
    call = ModelCall(shown, instructions="", turn="summary")
    async with aclosing(pieces_of(model, call, SILENCE)) as pieces:
        said = [
            item.text async for item in pieces if isinstance(item, Delta) and item.kind == "text"
        ]
    text: str = storable("".join(said)).strip()
    if not text:
        raise ModelError(f"{model.name} said nothing")
    return text

"""What shapes the view between turns: your own functions, and ready-made ones."""

from turnline_workers.interaction.policies import Policies
from turnline_workers.interaction.summaries import covers, summarize_when
from turnline_workers.interaction.windows import drop_tool_payloads, keep_last_turns, keep_within
from turnline_workers.models.tokenizers import tokenizer

__all__ = [
    "Policies",
    "covers",
    "drop_tool_payloads",
    "keep_last_turns",
    "keep_within",
    "summarize_when",
    "tokenizer",
]

"""What plays turns, and what it is told by: assistants with their models, tools and policies.

These names need the light install only; the worker itself needs ``turnline[workers]``.
"""

from turnline_schemas.message import Message
from turnline_workers import policies
from turnline_workers.assistants import Assistant
from turnline_workers.inprocess.session import Session
from turnline_workers.inprocess.stores import MemoryStore
from turnline_workers.inprocess.streams import FanOut, IteratorStream
from turnline_workers.interaction.pipeline import Pack, Step
from turnline_workers.interaction.state import InteractionState, TurnState
from turnline_workers.interaction.tools import Tool, ToolContext, ToolError
from turnline_workers.models.provider import ProviderModel

__all__ = [
    "Assistant",
    "FanOut",
    "InteractionState",
    "IteratorStream",
    "MemoryStore",
    "Message",
    "Pack",
    "ProviderModel",
    "Session",
    "Step",
    "Tool",
    "ToolContext",
    "ToolError",
    "TurnState",
    "policies",
]

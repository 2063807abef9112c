"""Assistants that differ in nothing but how much of a long session they look at."""

from turnline_workers.interaction.assistant import Assistant
from turnline_workers.interaction.windows import keep_last_turns
from turnline_workers.models.builtin import BuiltinModel

WINDOW = 3

windowed = Assistant(BuiltinModel(), name="windowed", policies=keep_last_turns(WINDOW))
endless = Assistant(BuiltinModel(), name="endless")

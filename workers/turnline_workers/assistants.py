"""Assistants as users write them: the core's, with models by name."""

from turnline_workers.interaction import assistant
from turnline_workers.interaction.model import Model, WholeModel
from turnline_workers.models.named import model_named


class Assistant(assistant.Assistant):
    """What answers the turns that name it; ``model`` may be a name, such as ``"builtin"``."""

    @staticmethod
    def named(name: str) -> Model | WholeModel:
        """Return the model of that name."""
        return model_named(name)

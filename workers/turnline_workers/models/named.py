"""Models by name."""

from turnline_workers.interaction.model import Model
from turnline_workers.models.builtin import BUILTIN, BuiltinModel
from turnline_workers.models.provider import ProviderModel


def model_named(name: str) -> Model:
    """Return the model that ``name`` stands for: ``builtin`` needs no network, ``provider:model``
    is one of pydantic-ai's.

    Raises:
        ConfigurationError: there is none of that name, or pydantic-ai is not installed.
    """
    return BuiltinModel() if name == BUILTIN else ProviderModel(name)

"""Models by name."""

from turnline_schemas.errors import ConfigurationError
from turnline_workers.interaction.model import Model
from turnline_workers.models.builtin import BUILTIN, BuiltinModel


def model_named(name: str) -> Model:
    """Return the model that ``name`` stands for: ``builtin`` needs no network.

    Raises:
        ConfigurationError: there is none of that name.
    """
    if name == BUILTIN:
        return BuiltinModel()
    raise ConfigurationError(f"there is no model {name!r}; there is 'builtin'")

"""Finds the assistants that a worker serves."""

from importlib import import_module

from turnline_schemas.errors import ConfigurationError
from turnline_workers.errors import AssistantNotFoundError
from turnline_workers.interaction.assistant import Assistant
from turnline_workers.models.builtin import BuiltinModel


class Assistants:
    """The assistants of one worker, by name.  ``default`` always exists."""

    def __init__(self, assistants: list[Assistant], *, builtin_delay: float = 0.0) -> None:
        default = Assistant(BuiltinModel(delay=builtin_delay))
        self._by_name = {default.name: default} | {each.name: each for each in assistants}

    def named(self, name: str) -> Assistant:
        """Return the assistant called ``name``.

        Raises:
            AssistantNotFoundError: there is none; the turn that asked for it fails.
        """
        try:
            return self._by_name[name]
        except KeyError:
            raise AssistantNotFoundError(name, sorted(self._by_name)) from None


def load_assistants(references: str, *, builtin_delay: float) -> Assistants:
    """Import the assistants named by ``TURNLINE_ASSISTANTS``.

    Raises:
        ConfigurationError: a reference is not ``module:attribute`` of an ``Assistant``.
    """
    names = [name.strip() for name in references.split(",") if name.strip()]
    return Assistants([_import(name) for name in names], builtin_delay=builtin_delay)


def _import(reference: str) -> Assistant:
    module, colon, attribute = reference.partition(":")
    if not colon:
        raise ConfigurationError(f"TURNLINE_ASSISTANTS: {reference!r} is not 'module:attribute'")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"TURNLINE_ASSISTANTS: cannot load {reference!r}: {error}"
        ) from error
    if not isinstance(found, Assistant):
        raise ConfigurationError(
            f"TURNLINE_ASSISTANTS: {reference!r} is a {type(found).__name__}, not an Assistant"
        )
    found.check()
    return found

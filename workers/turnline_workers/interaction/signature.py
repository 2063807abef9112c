"""The signature of a tool: what a model is told of it, and what is handed to it."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, JsonValue, PydanticUserError, create_model
from pydantic.errors import PydanticSchemaGenerationError

from turnline_schemas.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function takes."""

    model: type[BaseModel]
    """Its arguments, in fields that are named by number: any name may be an argument's."""
    names: Mapping[str, str]
    """Field -> name of the argument."""
    context: str | None
    """The parameter that is given the context."""
    schema: dict[str, Any]
    """JSON schema of the arguments, an object."""

    def arguments(self, given: JsonValue, context: object) -> dict[str, Any]:
        """Return what to call the function with.

        Raises:
            ValidationError: what was given does not fit.
        """
        checked = self.model.model_validate(given)
        arguments = {name: getattr(checked, field) for field, name in self.names.items()}
        return arguments if self.context is None else {**arguments, self.context: context}


def signature_of(name: str, run: Callable[..., Any], context_type: type) -> Signature:
    """Return what ``run`` takes, as its type hints say.

    Args:
        name: of the tool, for errors.
        context_type: a parameter of this type is given the context.

    Raises:
        ConfigurationError: a model could not call it.
    """
    if inspect.isasyncgenfunction(run) or not callable(run):
        raise ConfigurationError(f"tool {name!r} is no function that returns a result")
    fields: dict[str, Any] = {}
    names: dict[str, str] = {}
    context = None
    hints = _hints(name, run)
    for parameter in inspect.signature(run).parameters.values():
        if parameter.kind not in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}:
            raise ConfigurationError(
                f"tool {name!r} must take its arguments by name: no *, ** and / in its signature"
            )
        hint = hints.get(parameter.name, Any)
        if hint is context_type or context_type in get_args(hint):
            context = parameter.name
            continue
        field = f"argument_{len(fields)}"
        default = ... if parameter.default is parameter.empty else parameter.default
        title = parameter.name.replace("_", " ").title()
        fields[field] = (hint, Field(default, alias=parameter.name, title=title))
        names[field] = parameter.name
    try:
        model: type[BaseModel] = create_model(
            name.replace("-", "_"), __config__=ConfigDict(extra="forbid"), **fields
        )
        schema = model.model_json_schema()
    except (PydanticUserError, PydanticSchemaGenerationError) as error:
        problem = str(error).partition("\n")[0]
        raise ConfigurationError(f"tool {name!r}: {problem}") from error
    schema.pop("title", None)
    return Signature(model, names, context, schema)


def _hints(name: str, run: Callable[..., Any]) -> dict[str, Any]:
    plain = inspect.isroutine(run) or inspect.isclass(run)
    try:
        return get_type_hints(run if plain else type(run).__call__, include_extras=True)
    except (NameError, TypeError) as error:
        raise ConfigurationError(f"tool {name!r}: {error}") from error

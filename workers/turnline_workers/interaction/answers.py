"""Whether an answer satisfies the question's JSON schema."""

from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue

from turnline_schemas.errors import ConfigurationError


def check_schema(schema: Mapping[str, Any]) -> None:
    """Return if ``schema`` is a JSON schema.

    Raises:
        ConfigurationError: it is not; the step or tool that asks has to change.
    """
    # Imported late: nobody who only follows or enqueues pays for it.
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for

    try:
        validator_for(schema).check_schema(schema)
    except SchemaError as error:
        raise ConfigurationError(f"the schema of the answer is none: {error.message}") from error


def wrong_answer(schema: Mapping[str, Any], value: JsonValue) -> str | None:
    """Return what is wrong with an answer; None if it satisfies ``schema``."""
    from jsonschema.exceptions import best_match
    from jsonschema.validators import validator_for

    error = best_match(validator_for(schema)(schema).iter_errors(value))
    if error is None:
        return None
    path = "".join(f".{part}" for part in error.absolute_path)
    return f"value{path}: {error.message}"[:500]

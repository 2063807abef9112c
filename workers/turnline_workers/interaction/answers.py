"""Whether an answer satisfies the question's JSON schema."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import JsonValue

from turnline_schemas.errors import ConfigurationError


def check_schema(schema: Mapping[str, Any]) -> None:
    """Return if ``schema`` is a JSON schema that can be applied, here and by any worker.

    Raises:
        ConfigurationError: it is not; the step or tool that asks has to change.
    """
    # Imported late: nobody who only follows or enqueues pays for it.
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for

    try:
        validator_for(schema).check_schema(schema)
        for pattern in _patterns(schema):
            re.compile(pattern)
    except SchemaError as error:
        raise ConfigurationError(f"the schema of the answer is none: {error.message}") from error
    except (re.error, RecursionError, TypeError) as error:
        raise ConfigurationError(f"the schema of the answer is none: {error}") from error
    for reference in _found(schema, "$ref", "$dynamicRef"):
        if not reference.startswith("#"):
            raise ConfigurationError(
                f"the schema of the answer refers to {reference!r}; only references into the"
                " schema itself, such as '#/$defs/room', can be followed"
            )
        _check_reference(schema, reference)


def wrong_answer(schema: Mapping[str, Any], value: JsonValue) -> str | None:
    """Return what is wrong with an answer; None if it satisfies ``schema``.

    Fetches nothing, and raises nothing: a schema that cannot be applied refuses every answer.
    """
    from jsonschema.exceptions import best_match
    from jsonschema.validators import validator_for
    from referencing import Registry

    try:
        validator = validator_for(schema)(schema, registry=Registry())
        error = best_match(validator.iter_errors(value))
    except Exception as problem:  # noqa: BLE001 - whatever it is, intake must go on
        return f"the question's schema cannot be applied: {problem}"[:500]
    if error is None:
        return None
    path = "".join(f".{part}" for part in error.absolute_path)
    return f"value{path}: {error.message}"[:500]


def _check_reference(schema: Mapping[str, Any], reference: str) -> None:
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    resource = DRAFT202012.create_resource(schema)
    try:
        Registry().with_resource("", resource).resolver("").lookup(reference)
    except Unresolvable as error:
        raise ConfigurationError(
            f"the schema of the answer refers to {reference!r}, which is not in it"
        ) from error


def _patterns(schema: object) -> Iterator[str]:
    yield from _found(schema, "pattern")


def _found(schema: object, *names: str) -> Iterator[str]:
    """Yield the texts under keys of these names, however deep."""
    if isinstance(schema, Mapping):
        for key, value in schema.items():
            if key in names and isinstance(value, str):
                yield value
            yield from _found(value, *names)
    elif isinstance(schema, list | tuple):
        for each in schema:
            yield from _found(each, *names)

"""What the suite runs on unless the environment names something else."""

import json
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from turnline_schemas.errors import ConfigurationError
from turnline_schemas.event import Event
from turnline_workers.inprocess.stores import MemoryStore
from turnline_workers.inprocess.streams import IteratorStream
from turnline_workers.testing.subjects import StreamUnderTest

_store = MemoryStore()


def memory_store() -> MemoryStore:
    """Return the store whose place is this process."""
    return _store


def iterator_stream(stream: IteratorStream | None = None) -> StreamUnderTest:
    """Return an in-process stream, a new one unless given, and its reader."""
    stream = stream or IteratorStream()
    seen: list[Event] = []

    async def read(session: str, number: int) -> list[Event]:
        events = aiter(stream)
        found = [event for event in seen if event.session == session]
        while len(found) < number:
            seen.append(event := await anext(events))
            found += [event] if event.session == session else []
        return found

    return StreamUnderTest(stream, read)


def from_environment(variable: str, otherwise: Callable[[], Any]) -> Callable[[], Any]:
    """Return the factory that an environment variable names as ``module:name``.

    Modules are also found in the current directory.

    Raises:
        ConfigurationError: there is none of that name.
    """
    named = os.environ.get(variable)
    if not named:
        return otherwise
    module, _, attribute = named.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Callable[[], Any] = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"{variable}={named!r}: {error}; expected module:function, such as my_module:make_store"
        ) from error
    return found


def context_from_environment(variable: str) -> dict[str, Any] | None:
    """Return the JSON object that an environment variable holds; None if it is not set.

    Raises:
        ConfigurationError: it holds something else.
    """
    text = os.environ.get(variable)
    if not text:
        return None
    try:
        context = json.loads(text)
    except ValueError:
        context = None
    if not isinstance(context, dict):
        raise ConfigurationError(f'{variable}={text!r} is no JSON object, such as {{"org": "a"}}')
    return context

"""Checks all rules at once, as a plain function call."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from turnline_workers.testing.store_rules import STORE_RULES
from turnline_workers.testing.stream_rules import STREAM_RULES
from turnline_workers.testing.subjects import MakeStore, MakeStream, opened

T = TypeVar("T")

SECONDS = 30.0
"""That one rule may take: a reader that waits for an event that was lost waits for ever."""


def check_store(make: MakeStore, *, seconds: float = SECONDS) -> None:
    """Return if the stores that ``make`` returns keep all rules.

    Runs event loops of its own, one per rule, so call it where none is running.

    Args:
        make: returns a store; see ``MakeStore``.
        seconds: how long one rule may take.

    Raises:
        AssertionError: rules are broken; the text names each of them.
    """
    _check("store", make, STORE_RULES, seconds)


def check_stream(make: MakeStream, *, seconds: float = SECONDS) -> None:
    """Return if the streams that ``make`` returns keep all rules; otherwise as ``check_store``.

    Args:
        make: returns a stream with its reader; see ``StreamUnderTest``.
    """
    _check("stream", make, STREAM_RULES, seconds)


def run_rule(
    rule: Callable[[Callable[[], Awaitable[T]]], Awaitable[None]],
    make: Callable[[], T | Awaitable[T]],
    *,
    seconds: float = SECONDS,
) -> None:
    """Return if ``rule`` is kept.

    Raises:
        AssertionError: it is broken; the text names it.
    """

    async def run() -> None:
        async with asyncio.timeout(seconds), opened(make) as open_one:
            await rule(open_one)

    try:
        asyncio.run(run())
    except AssertionError as error:
        raise AssertionError(f"{named(rule)}: {error}") from error
    except TimeoutError as error:
        raise AssertionError(f"{named(rule)}: not within {seconds:g} s") from error
    except Exception as error:
        raise AssertionError(f"{named(rule)}: {type(error).__name__}: {error}") from error


def named(rule: Callable[..., Any]) -> str:
    """Return a rule's name as a sentence."""
    return rule.__name__.replace("_", " ")


def _check(
    kind: str, make: Callable[[], Any], rules: Sequence[Callable[[Any], Any]], seconds: float
) -> None:
    broken: list[str] = []
    cause: AssertionError | None = None
    for rule in rules:
        try:
            run_rule(rule, make, seconds=seconds)
        except AssertionError as error:
            broken.append(str(error))
            cause = cause or error
    if broken:
        told = "\n".join(f"- {each}" for each in broken)
        raise AssertionError(
            f"the {kind} breaks {len(broken)} of {len(rules)} rules:\n{told}"
        ) from cause

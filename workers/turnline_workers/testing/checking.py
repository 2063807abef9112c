"""Checks all rules at once, as a plain function call."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from turnline_workers.testing.store_rules import STORE_RULES, StoreRule
from turnline_workers.testing.stream_rules import STREAM_RULES, StreamRule
from turnline_workers.testing.subjects import MakeStore, MakeStream, StoresUnderTest, opened

SECONDS = 30.0
"""That one rule may take: a reader that waits for an event that was lost waits for ever."""

CONTEXT: Final = {"tenant": "testing"}
"""What a session's context is unless given."""


def check_store(
    make: MakeStore, *, context: Mapping[str, Any] | None = None, seconds: float = SECONDS
) -> None:
    """Return if the stores that ``make`` returns keep all rules.

    Runs event loops of its own, one per rule, so call it where none is running.

    Args:
        make: returns a store; see ``MakeStore``.
        context: handed to the store in every call; ``{"tenant": "testing"}`` unless given.
        seconds: how long one rule may take.

    Raises:
        AssertionError: rules are broken; the text names each of them.
    """
    _check(
        "store",
        [partial(run_store_rule, rule, make, context=context) for rule in STORE_RULES],
        seconds,
    )


def check_stream(make: MakeStream, *, seconds: float = SECONDS) -> None:
    """Return if the streams that ``make`` returns keep all rules; otherwise as ``check_store``.

    Args:
        make: returns a stream with its reader; see ``StreamUnderTest``.
    """
    _check("stream", [partial(run_stream_rule, rule, make) for rule in STREAM_RULES], seconds)


def run_store_rule(
    rule: StoreRule,
    make: MakeStore,
    *,
    context: Mapping[str, Any] | None = None,
    seconds: float = SECONDS,
) -> None:
    """Return if ``rule`` is kept; otherwise as ``check_store``.

    Raises:
        AssertionError: it is broken; the text names it.
    """

    async def run() -> None:
        async with opened(make) as open_one:
            await rule(StoresUnderTest(open_one, make, CONTEXT if context is None else context))

    _run(rule, run, seconds)


def run_stream_rule(rule: StreamRule, make: MakeStream, *, seconds: float = SECONDS) -> None:
    """Return if ``rule`` is kept; otherwise as ``check_stream``.

    Raises:
        AssertionError: it is broken; the text names it.
    """

    async def run() -> None:
        async with opened(make) as open_one:
            await rule(open_one)

    _run(rule, run, seconds)


def _run(rule: Callable[..., Any], run: Callable[[], Awaitable[None]], seconds: float) -> None:
    async def in_time() -> None:
        async with asyncio.timeout(seconds):
            await run()

    name = rule.__name__.replace("_", " ")
    try:
        asyncio.run(in_time())
    except AssertionError as error:
        raise AssertionError(f"{name}: {error}") from error
    except TimeoutError as error:
        raise AssertionError(f"{name}: {str(error) or f'not within {seconds:g} s'}") from error
    except Exception as error:
        raise AssertionError(f"{name}: {type(error).__name__}: {error}") from error


def _check(kind: str, checks: Sequence[Callable[..., None]], seconds: float) -> None:
    broken: list[str] = []
    cause: AssertionError | None = None
    for check in checks:
        try:
            check(seconds=seconds)
        except AssertionError as error:
            broken.append(str(error))
            cause = cause or error
    if broken:
        told = "\n".join(f"- {each}" for each in broken)
        raise AssertionError(
            f"the {kind} breaks {len(broken)} of {len(checks)} rules:\n{told}"
        ) from cause

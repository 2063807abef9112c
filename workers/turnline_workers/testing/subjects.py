"""What the rules are checked on."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, TypeVar

from turnline_schemas.event import Event
from turnline_workers.inprocess.stores import SessionStore
from turnline_workers.inprocess.streams import EventStream


async def _nothing() -> None:
    return None


@dataclass(frozen=True)
class StreamUnderTest:
    """A stream, and the reader at its other end."""

    stream: EventStream
    read: Callable[[str, int], Awaitable[Sequence[Event]]]
    """``await read(session, n)`` returns the first n events of that session, in the order in which
    a reader gets them, and waits until there are so many."""
    aclose: Callable[[], Awaitable[None]] = _nothing
    """Called when a rule is through."""


MakeStore = Callable[[], SessionStore | Awaitable[SessionStore]]
"""Returns a store, plain or async.  It is called inside a running event loop, several times;
each call may return another object, but all of them keep their states in the same place.
It is called in threads with event loops of their own, too: what serves one loop only, such as a
pool, has to be made anew by each call.
A store with ``aclose()`` is closed when the rule is through."""

MakeStream = Callable[[], StreamUnderTest | Awaitable[StreamUnderTest]]
"""Returns a stream with its reader, plain or async.  Called inside a running event loop."""


@dataclass(frozen=True)
class StoresUnderTest:
    """Stores on one place, as a rule gets them."""

    open: Callable[[], Awaitable[SessionStore]]
    """``await`` it for a store, as often as needed; it is closed when the rule is through."""
    make: MakeStore
    context: Mapping[str, Any]
    """Handed to every call."""


OpenStream = Callable[[], Awaitable[StreamUnderTest]]

T = TypeVar("T")


@asynccontextmanager
async def opened(make: Callable[[], T | Awaitable[T]]) -> AsyncIterator[Callable[[], Awaitable[T]]]:
    """Give what ``make`` makes, as often as asked, and close all of it at the end."""
    async with AsyncExitStack() as closing:

        async def one() -> T:
            made = make()
            subject: T = await made if isawaitable(made) else made
            if (close := getattr(subject, "aclose", None)) is not None:
                closing.push_async_callback(close)
            return subject

        yield one

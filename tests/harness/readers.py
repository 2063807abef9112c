"""Streams with a real reader at their other end: HTTP, WebSockets, and the consumer."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import uvicorn
import websockets
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket
from websockets.asyncio.server import ServerConnection, serve

from turnline_consumer import afollow
from turnline_schemas.event import Event, parse_event
from turnline_workers.streams import RedisStream, SSEStream, WebSocketStream
from turnline_workers.testing import StreamUnderTest

MakeStream = Callable[[], Awaitable[StreamUnderTest]]


class Seen:
    """What a reader has got so far."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.ids: list[str] = []
        self._more = asyncio.Condition()

    async def add(self, raw: bytes | str, *, epoch: str = "") -> None:
        """Take one event as it came."""
        async with self._more:
            self.events.append(parse_event(raw, epoch=epoch))
            self._more.notify_all()

    async def read(self, session: str, number: int) -> list[Event]:
        """Return the session's events once there are so many."""

        def found() -> list[Event]:
            return [event for event in self.events if event.session == session]

        async with self._more:
            await self._more.wait_for(lambda: len(found()) >= number)
        return found()


@asynccontextmanager
async def running(app: ASGIApp) -> AsyncIterator[str]:
    """Serve ``app`` on a free port, for as long as the block lasts; give its host and port."""
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        ws="websockets-sansio",
        log_level="error",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        while not server.started:
            await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await serving


def sse_app(stream: SSEStream) -> ASGIApp:
    """Return an application that answers every request with the stream."""

    async def events(request: Request) -> StreamingResponse:
        return StreamingResponse(stream, media_type="text/event-stream")

    return Starlette(routes=[Route("/", events)])


async def sse_over_http() -> StreamUnderTest:
    """An SSE stream behind a real HTTP server."""
    stream, seen, stack = SSEStream(), Seen(), contextlib.AsyncExitStack()
    where = await stack.enter_async_context(running(sse_app(stream)))
    client = await stack.enter_async_context(httpx.AsyncClient(timeout=30))
    response = await stack.enter_async_context(client.stream("GET", f"http://{where}/"))

    async def receive() -> None:
        rest = b""
        async for piece in response.aiter_bytes():
            *frames, rest = (rest + piece).split(b"\n\n")
            for frame in frames:
                name, data = frame.split(b"\n")
                assert name.startswith(b"id: ")
                assert data.startswith(b"data: ")
                seen.ids.append(name[4:].decode())
                await seen.add(data[6:])

    receiving = asyncio.create_task(receive())

    async def aclose() -> None:
        stream.close()
        await receiving
        await stack.aclose()
        for event, name in zip(seen.events, seen.ids, strict=True):
            assert name == f"{stream.epoch}:{event.seq}"

    return StreamUnderTest(stream, seen.read, aclose)


async def websocket_of_starlette() -> StreamUnderTest:
    """A WebSocket that a Starlette application has accepted."""
    accepted: asyncio.Future[WebSocket] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    async def endpoint(socket: WebSocket) -> None:
        await socket.accept()
        accepted.set_result(socket)
        await over.wait()
        await socket.close()

    stack = contextlib.AsyncExitStack()
    app = Starlette(routes=[WebSocketRoute("/", endpoint)])
    where = await stack.enter_async_context(running(app))
    seen, receiving = await _connected(f"ws://{where}/")

    async def aclose() -> None:
        over.set()
        await receiving
        await stack.aclose()

    return StreamUnderTest(WebSocketStream(await accepted), seen.read, aclose)


async def websocket_of_websockets() -> StreamUnderTest:
    """A WebSocket of the library of that name."""
    accepted: asyncio.Future[ServerConnection] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    async def handler(socket: ServerConnection) -> None:
        accepted.set_result(socket)
        await over.wait()

    stack = contextlib.AsyncExitStack()
    server = await stack.enter_async_context(serve(handler, "127.0.0.1", 0))
    port = server.sockets[0].getsockname()[1]
    seen, receiving = await _connected(f"ws://127.0.0.1:{port}/")

    async def aclose() -> None:
        over.set()
        await receiving
        await stack.aclose()

    return StreamUnderTest(WebSocketStream(await accepted), seen.read, aclose)


async def _connected(url: str) -> tuple[Seen, "asyncio.Task[None]"]:
    """Connect, and take in frames until the other side closes."""
    seen = Seen()
    client = await websockets.connect(url, max_size=None)

    async def receive() -> None:
        async with client:
            async for frame in client:
                assert isinstance(frame, str)
                assert json.loads(frame)["v"] == 1
                await seen.add(frame)

    return seen, asyncio.create_task(receive())


def redis_with_consumer(redis_url: str, stream: Callable[[], RedisStream]) -> MakeStream:
    """Return what makes Redis streams whose reader is the consumer."""

    async def make() -> StreamUnderTest:
        made = stream()

        async def read(session: str, number: int) -> list[Event]:
            async with afollow(session, redis_url=redis_url) as events:
                return [await anext(events) for _ in range(number)]

        return StreamUnderTest(made, read, made.aclose)

    return make

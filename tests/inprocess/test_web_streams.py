"""SSE and WebSockets with readers that leave, or do not read."""

import asyncio
import secrets

import httpx
import pytest
import websockets
from harness.listed import Listed
from harness.readers import running, sse_app
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.server import ServerConnection, serve

from turnline_schemas.event import Event
from turnline_workers import Assistant, FanOut, Session
from turnline_workers.interaction.outcome import Completed
from turnline_workers.streams import (
    EventStream,
    SlowReaderError,
    SSEStream,
    StreamClosedError,
    StreamError,
    WebSocketStream,
)
from turnline_workers.testing.stream_rules import an_event, deltas

MEGABYTE = secrets.token_hex(500_000)
"""Of what cannot be compressed away."""


def big(seq: int) -> Event:
    """Return a megabyte of text."""
    return an_event("s", seq, "text.delta", {"part": "p", "delta": MEGABYTE})


def test_frames_are_those_of_the_protocol() -> None:
    async def run() -> list[bytes]:
        stream = SSEStream(epoch="kqWmZtRb")
        await stream.emit_many(deltas("s", 2))
        stream.close()
        return [frame async for frame in stream]

    frames = asyncio.run(run())

    first, second = deltas("s", 2)
    assert frames == [
        f"id: kqWmZtRb:1\ndata: {first.to_json()}\n\n".encode(),
        f"id: kqWmZtRb:2\ndata: {second.to_json()}\n\n".encode(),
    ]


def test_each_stream_has_an_epoch_of_its_own() -> None:
    one, other = SSEStream(), SSEStream()

    assert one.epoch != other.epoch
    assert one.epoch.isalnum()


def test_silence_is_filled_with_comments() -> None:
    async def run() -> list[bytes]:
        stream = SSEStream(ping=0.01)
        frames = aiter(stream)
        return [await anext(frames) for _ in range(2)]

    assert asyncio.run(run()) == [b": ping\n\n"] * 2


def test_a_reader_that_does_not_read_ends_its_stream_without_a_hole() -> None:
    async def run() -> list[bytes]:
        stream = SSEStream(limit=5)
        events = deltas("s", 9)
        await stream.emit_many(events[:4])
        for event in events[4:5]:
            await stream.emit(event)
        with pytest.raises(SlowReaderError, match="5 events behind"):
            await stream.emit_many(events[5:7])
        with pytest.raises(SlowReaderError):
            await stream.emit_many(events[7:])
        return [frame async for frame in stream]

    assert len(asyncio.run(run())) == 5


def test_a_stream_that_was_closed_takes_nothing() -> None:
    async def run() -> None:
        stream = SSEStream()
        stream.close()
        with pytest.raises(StreamClosedError):
            await stream.emit(deltas("s", 1)[0])

    asyncio.run(run())


def test_a_broken_sse_reader_is_reported_and_the_session_goes_on() -> None:
    """The reader connects, gets the beginning, and never reads again."""
    own, reports = Listed(), list[Exception]()

    async def run() -> object:
        stream = SSEStream(limit=3)
        fan = FanOut(stream, own, report=lambda _, error: reports.append(error))
        async with running(sse_app(stream)) as where:
            host, port = where.split(":")
            _, writer = await asyncio.open_connection(host, int(port), limit=1)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await writer.drain()
            seq = 0
            while not reports:
                seq += 1
                assert seq < 200
                await fan.emit(big(seq))
                await asyncio.sleep(0)
            outcome = await Session("s", assistant=Assistant("builtin"), events=fan).send("Hello!")
            writer.close()
        return outcome

    outcome = asyncio.run(run())

    assert isinstance(outcome, Completed)
    assert {type(error) for error in reports} == {SlowReaderError}
    assert own.events[-1].type == "turn.completed"
    told = [event for event in own.events if event.type != "text.delta" or event.turn != "t-1"]
    assert len(reports) == 1 + len(told)


def test_a_reader_that_leaves_closes_its_stream() -> None:
    async def run() -> Exception:
        stream = SSEStream(ping=0.05)
        async with (
            running(sse_app(stream)) as where,
            httpx.AsyncClient() as client,
        ):
            async with client.stream("GET", f"http://{where}/") as response:
                await stream.emit(deltas("s", 1)[0])
                await anext(response.aiter_bytes())
            async with asyncio.timeout(10):
                failure: Exception | None = None
                while failure is None:
                    failure = await attempted(stream, deltas("s", 1)[0])
        return failure

    failure = asyncio.run(run())

    assert isinstance(failure, StreamClosedError)
    assert "reader is gone" in str(failure)


async def attempted(stream: EventStream, event: Event) -> Exception | None:
    """Emit, give the other side a moment, and return what was raised."""
    try:
        await stream.emit(event)
    except Exception as error:  # noqa: BLE001 - a socket may raise anything
        return error
    await asyncio.sleep(0.01)
    return None


async def until_it_fails(stream: WebSocketStream) -> Exception:
    """Emit until that fails, and return how."""
    async with asyncio.timeout(30):
        for seq in range(1, 200):
            if (failure := await attempted(stream, big(seq))) is not None:
                return failure
    raise AssertionError("it never failed")


def test_a_dead_websocket_of_starlette_raises_and_then_stays_closed() -> None:
    async def run() -> Exception:
        accepted: asyncio.Future[WebSocket] = asyncio.get_running_loop().create_future()
        over = asyncio.Event()

        async def endpoint(socket: WebSocket) -> None:
            await socket.accept()
            accepted.set_result(socket)
            await over.wait()

        app = Starlette(routes=[WebSocketRoute("/", endpoint)])
        async with running(app) as where:
            client = await websockets.connect(f"ws://{where}/")
            stream = WebSocketStream(await accepted)
            await client.close()
            try:
                failure = await until_it_fails(stream)
                with pytest.raises(StreamClosedError):
                    await stream.emit(big(1))
            finally:
                over.set()
        return failure

    assert not isinstance(asyncio.run(run()), StreamError)


@pytest.mark.parametrize("leaves", [True, False], ids=["leaves", "does-not-read"])
def test_a_dead_websocket_of_websockets_raises(leaves: bool) -> None:
    async def run() -> Exception:
        accepted: asyncio.Future[ServerConnection] = asyncio.get_running_loop().create_future()
        over = asyncio.Event()

        async def handler(socket: ServerConnection) -> None:
            accepted.set_result(socket)
            await over.wait()

        async with serve(handler, "127.0.0.1", 0, close_timeout=0.1) as server:
            port = server.sockets[0].getsockname()[1]
            client = await websockets.connect(
                f"ws://127.0.0.1:{port}/", max_size=None, close_timeout=0.1
            )
            stream = WebSocketStream(await accepted, patience=0.3)
            if leaves:
                await client.close()
            try:
                failure = await until_it_fails(stream)
                with pytest.raises(StreamClosedError):
                    await stream.emit(big(1))
            finally:
                over.set()
                client.transport.abort()
        return failure

    failure = asyncio.run(run())

    assert isinstance(failure, SlowReaderError) is not leaves

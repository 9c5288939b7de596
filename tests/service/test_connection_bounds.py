"""Connections are bounded: heads in bytes and time, writes in time without progress."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from service.connection_bounds import ConnectionBounds, bounded
from tests.support.waiting import PATIENCE_S

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
BOUNDS = ConnectionBounds(head_seconds=0.5, write_seconds=0.6, connections=20)
LARGE = 40_000_000
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


async def echo_size(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the size of the body; for /large, with more bytes than a socket buffers."""
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    body = bytes(LARGE) if scope["path"] == "/large" else str(size).encode()
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


@contextlib.asynccontextmanager
async def serving(
    bounds: ConnectionBounds, app: ASGIApp = echo_size
) -> AsyncIterator[tuple[uvicorn.Server, int]]:
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=bounded(bounds), lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve([listening]))
    try:
        while not server.started:  # noqa: ASYNC110  uvicorn has no event for it
            await asyncio.sleep(0.01)
        yield server, listening.getsockname()[1]
    finally:
        server.should_exit = True
        server.force_exit = True
        await running


@pytest.fixture
async def served() -> AsyncIterator[tuple[uvicorn.Server, int]]:
    async with serving(BOUNDS) as pair:
        yield pair


async def answer_to(port: int, *pieces: bytes) -> bytes:
    """Send pieces on a new connection; return everything received until it is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    with contextlib.suppress(ConnectionError):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
    with contextlib.suppress(ConnectionError):
        answer = await reader.read()
    writer.close()
    return answer


def get(headers: bytes, path: bytes = b"/") -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + headers + b"\r\n"


HEADS: dict[str, Callable[[int], bytes]] = {
    "one header": lambda size: get(b"X-A: " + b"x" * size + b"\r\n"),
    "many headers": lambda size: get(b"a:b\r\n" * (size // 5)),
    "a long path": lambda size: get(b"", b"/" + b"p" * size),
}


@pytest.mark.parametrize("kind", HEADS)
async def test_a_head_of_more_than_32_kib_is_431(
    served: tuple[uvicorn.Server, int], kind: str
) -> None:
    _, port = served
    assert (await answer_to(port, HEADS[kind](20_000))).startswith(b"HTTP/1.1 200")
    large = await answer_to(port, HEADS[kind](200_000))
    # A caller who still sends may lose the answer.
    assert large == b"" or large.startswith(b"HTTP/1.1 431")
    assert large == b"" or b'"code": "request_header_fields_too_large"' in large
    assert (await answer_to(port, get(b""))).startswith(b"HTTP/1.1 200")


async def until_closed(port: int, begin: bytes) -> None:
    """Send without end, until the connection is closed."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(begin)
    with contextlib.suppress(ConnectionError):
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()


async def test_an_endless_header_is_refused_and_blocks_no_other_request() -> None:
    async with (
        serving(replace(BOUNDS, head_seconds=3600)) as (_, port),
        asyncio.timeout(PATIENCE_S),
    ):
        sending = asyncio.create_task(until_closed(port, b"GET / HTTP/1.1\r\nX-A: "))
        for _ in range(10):
            assert (await answer_to(port, get(b""))).startswith(b"HTTP/1.1 200")
        await sending


async def head_first(scope: Scope, _: Receive, send: Send) -> None:
    """Answer without a body; the end of the answer to /first follows its head after a while."""
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await asyncio.sleep(0.05 if scope["path"] == "/first" else 0)
    await send({"type": "http.response.body", "body": b""})


async def test_a_request_after_an_answer_without_a_body_is_answered() -> None:
    """To its client, an answer without a body is complete with its head."""
    async with serving(BOUNDS, head_first) as (_, port), asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")
        writer.write(get(b""))
        assert (await reader.read()).startswith(b"HTTP/1.1 204")
        writer.close()


async def test_a_pipelined_head_is_bounded_too(served: tuple[uvicorn.Server, int]) -> None:
    _, port = served
    first = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n" + b"b" * 50_000
    answer = await answer_to(port, first + get(b"X-A: " + b"x" * 40_000 + b"\r\n"))
    assert b" 200 " not in answer.partition(b"50000")[2]


TWO = b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n" + get(b"", b"/second")


async def test_a_caller_with_a_second_request_who_leaves_is_noticed() -> None:
    left = asyncio.Event()

    async def patient(_scope: Scope, receive: Receive, _send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        left.set()

    async with serving(BOUNDS, patient) as (_, port), asyncio.timeout(PATIENCE_S):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(TWO)
        await writer.drain()
        writer.close()
        await left.wait()


async def test_a_request_before_the_last_answer_is_left_to_a_new_connection() -> None:
    begun, may_answer, ran = asyncio.Event(), asyncio.Event(), []

    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        ran.append(scope["path"])
        begun.set()
        await may_answer.wait()
        await echo_size({**scope, "path": "/"}, receive, send)

    async with serving(BOUNDS, waiting) as (_, port), asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(TWO)
        await begun.wait()
        may_answer.set()
        answer = await reader.read()
        writer.close()
    assert ran == ["/first"]
    assert answer.count(b"HTTP/1.1 200") == 1
    assert b"connection: close" in answer.lower()


async def test_a_body_does_not_count_as_head(served: tuple[uvicorn.Server, int]) -> None:
    _, port = served
    head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 300000\r\n\r\n"
    answer = await answer_to(port, head + b"b" * 300_000)
    assert answer.endswith(b"300000")


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ((), b""),
        ((b"GET / HT",), b"HTTP/1.1 408"),
        ((GET, b"GET / HTTP/1.1\r\nX"), b"HTTP/1.1 408"),
    ],
    ids=["nothing", "half a head", "half a second head"],
)
async def test_a_late_head_ends_the_connection(
    served: tuple[uvicorn.Server, int], pieces: tuple[bytes, ...], status: bytes
) -> None:
    server, port = served
    since = time.perf_counter()
    answer = await answer_to(port, *pieces)
    assert status in answer
    assert answer or not status
    assert BOUNDS.head_seconds * 0.9 <= time.perf_counter() - since < 4
    assert not server.server_state.connections


async def test_a_caller_who_reads_nothing_is_disconnected(
    served: tuple[uvicorn.Server, int],
) -> None:
    server, port = served
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(get(b"", b"/large"))
    await writer.drain()
    async with asyncio.timeout(20):
        while not server.server_state.connections:  # noqa: ASYNC110  another connection's state
            await asyncio.sleep(0.01)
        while server.server_state.connections:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    writer.close()
    del reader


async def test_a_slow_reader_is_served_to_the_end(served: tuple[uvicorn.Server, int]) -> None:
    """The whole answer takes several times `write_seconds`."""
    _, port = served
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(get(b"", b"/large"))
    received = 0
    while piece := await reader.read(1_000_000):
        received += len(piece)
        await asyncio.sleep(0.03)
    assert received > LARGE
    writer.close()


async def test_the_longest_idle_connection_makes_room_for_a_further_one() -> None:
    async with serving(replace(BOUNDS, connections=3, head_seconds=30)) as (_, port):
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        idle[0][1].write(GET[:10])  # half a head is no request
        for _ in range(2):
            assert b" 200 " in await answer_to(port, get(b""))
        ended = [asyncio.create_task(reader.read()) for reader, _ in idle]
        await asyncio.wait(ended[:1], timeout=10)
        assert [task.done() for task in ended] == [True, False, False]
        for _, writer in idle:
            writer.close()
        await asyncio.gather(*ended, return_exceptions=True)


async def test_connections_over_the_bound_get_503_while_all_others_have_requests() -> None:
    async with serving(replace(BOUNDS, connections=2, head_seconds=30)) as (_, port):
        busy = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for _, writer in busy:
            writer.write(get(b"", b"/large"))
        for reader, _ in busy:
            await reader.readexactly(100)
        assert (await answer_to(port, GET))[:12] in (b"", b"HTTP/1.1 503")
        for _, writer in busy:
            writer.close()


def test_there_are_fewer_connections_than_descriptors() -> None:
    assert ConnectionBounds(connections=10**9).within_descriptors().connections < 10**7
    assert ConnectionBounds(connections=5).within_descriptors().connections == 5

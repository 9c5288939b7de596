"""The proxy before Redis: it passes on, holds up, cuts, and lets go."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from benchmarks.nemesis.proxy import DOWN, UP, Proxy
from tests.support.waiting import eventually


class Echo:
    """A server on a unix socket that sends back what it gets."""

    def __init__(self) -> None:
        self.got = b""
        self.served = self.closed = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.served += 1
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(100):
                self.got += data
                writer.write(data)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        self.closed += 1


@contextlib.asynccontextmanager
async def before_echo(folder: Path) -> AsyncIterator[tuple[Proxy, Echo]]:
    echo, path = Echo(), folder / "s"
    server, proxy = await asyncio.start_unix_server(echo.serve, path), Proxy(path)
    await proxy.start()
    try:
        yield proxy, echo
    finally:
        await proxy.stop()
        server.close()
        await eventually(lambda: echo.served == echo.closed, "the end of every connection")


async def test_bytes_pass_both_ways(tmp_path: Path) -> None:
    async with before_echo(tmp_path) as (proxy, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"PING")
        assert await reader.readexactly(4) == b"PING"
        writer.close()


async def test_held_up_requests_arrive_once_let_go(tmp_path: Path) -> None:
    async with before_echo(tmp_path) as (proxy, echo):
        proxy.hold_up(UP)
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"late")
        await writer.drain()
        await asyncio.sleep(0)
        assert echo.got == b""
        proxy.let_go()
        assert await reader.readexactly(4) == b"late"
        writer.close()


async def test_held_up_answers_are_those_of_requests_that_arrived(tmp_path: Path) -> None:
    async with before_echo(tmp_path) as (proxy, echo):
        proxy.hold_up(DOWN)
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"done")
        await eventually(lambda: echo.got == b"done", "the request")
        assert not reader._buffer  # type: ignore[attr-defined]
        proxy.let_go()
        assert await reader.readexactly(4) == b"done"
        writer.close()


async def test_a_cut_ends_every_connection_and_a_new_one_works(tmp_path: Path) -> None:
    async with before_echo(tmp_path) as (proxy, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"PING")
        await reader.readexactly(4)
        proxy.cut()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"PING")
        assert await reader.readexactly(4) == b"PING"
        writer.close()


async def test_without_a_server_a_connection_ends_at_once(tmp_path: Path) -> None:
    proxy = Proxy(tmp_path / "nothing")
    await proxy.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.close()
    await proxy.stop()

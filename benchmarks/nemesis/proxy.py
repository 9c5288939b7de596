"""A TCP proxy between one process and Redis, whose connections can be cut, held up and slowed."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

CHUNK_BYTES = 1 << 16
UP, DOWN = "up", "down"
"""Towards Redis, and back."""


class Proxy:
    """Passes bytes on between a port of this machine and a unix socket."""

    def __init__(self, upstream: Path) -> None:
        self._upstream = upstream
        self._open = {UP: asyncio.Event(), DOWN: asyncio.Event()}
        for way in self._open.values():
            way.set()
        self._awaited: dict[str, bytes] = {}
        """What is to be held up once it comes, by direction."""
        self._held: dict[int, bytes] = {}
        """Data that is held up, the first piece of each connection and direction."""
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.delay_s = 0.0
        """Pause before each piece of data, both ways."""

    async def start(self) -> None:
        """Listen on a free port of the loopback address."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close everything."""
        self.let_go()
        self.cut()
        if self._server is not None:
            self._server.close()
        await asyncio.gather(*self._serving)

    def hold_up(self, *ways: str) -> None:
        """Pass nothing more on in these directions. Connections are still accepted, as by a network
        that loses packets."""
        for way in ways:
            self._open[way].clear()

    def hold_up_from(self, part: bytes, way: str) -> None:
        """Pass nothing more on in a direction from the first piece of data on with these bytes."""
        self._awaited[way] = part

    def awaits(self, part: bytes) -> bool:
        """Return whether data with these bytes is to be held up once it comes."""
        return any(part in awaited for awaited in self._awaited.values())

    def holds(self, part: bytes) -> bool:
        """Return whether a piece of data that is held up has these bytes in it."""
        return any(part in data for data in self._held.values())

    def let_go(self) -> None:
        """Pass on what was held up, and all that comes."""
        self._awaited.clear()
        for way in self._open.values():
            way.set()

    def cut(self) -> None:
        """Reset all connections; what was on its way is lost."""
        for writer in self._writers:
            writer.transport.abort()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            behind = await asyncio.open_unix_connection(str(self._upstream))
        except OSError:  # Redis is away
            writer.transport.abort()
            return
        writers = {writer, behind[1]}
        self._writers |= writers
        ways = (self._pump(reader, behind[1], UP), self._pump(behind[0], writer, DOWN))
        tasks = [asyncio.ensure_future(way) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._writers -= writers
            for task in tasks:
                task.cancel()
            for one in writers:
                one.transport.abort()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                await self._passed_on(data, way)
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                writer.write(data)
                await writer.drain()

    async def _passed_on(self, data: bytes, way: str) -> None:
        """Return once data may be passed on."""
        part = self._awaited.get(way)
        if part is not None and part in data:
            self._open[way].clear()
        if self._open[way].is_set():
            return
        self._held[id(data)] = data
        try:
            await self._open[way].wait()
        finally:
            del self._held[id(data)]

"""HTTP as attackers speak it: whole requests and parts of them, on connections of their own."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

ATTACKER_ADDRESS = "127.0.0.2"
"""Bounds for one address must not stop the honest caller, who has 127.0.0.1. All addresses of
127.0.0.0/8 are this machine's on Linux."""
PIECE = 1 << 16
HOST = b"Host: localhost\r\n"


class Attacker:
    """A caller that counts what it sends and how it is answered."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.sent = 0
        """Bytes written to connections so far."""
        self.answers: Counter[str] = Counter()
        """Answers by status; `closed` for connections that ended without one."""

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Streams]:
        """Hold a new connection. Raises OSError."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, local_addr=(ATTACKER_ADDRESS, 0)
        )
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        """Send bytes, in pieces as fast as they are taken."""
        view = memoryview(data)
        for at in range(0, len(view), PIECE):
            piece = view[at : at + PIECE]
            writer.write(piece)
            self.sent += len(piece)
            await writer.drain()

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Send a body on a connection of its own; return status and body of the answer. Raises
        OSError and EOFError."""
        async with self.connected() as (reader, writer):
            await self.send(writer, post_head(path, len(body)))
            sending = asyncio.create_task(self.send(writer, body))
            try:
                return await self.answer(reader)
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    async def answer(self, reader: asyncio.StreamReader) -> tuple[int, bytes]:
        """Read and count a whole answer; return its status and body."""
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").splitlines()
        fields = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
        }
        body = await reader.readexactly(int(fields.get("content-length", 0)))
        status = first.split()[1]
        self.answers[status] += 1
        return int(status), body

    async def get(self, path: str) -> dict[str, Any]:
        """Return a JSON answer. Raises ValueError for another status than 200."""
        async with self.connected() as (reader, writer):
            await self.send(writer, get_head(path))
            status, body = await self.answer(reader)
        if status != HTTPStatus.OK:
            raise ValueError(f"GET {path}: {status}")
        answer: dict[str, Any] = json.loads(body)
        return answer


def post_head(path: str, length: int) -> bytes:
    """Return the head of a request with a body of so many bytes."""
    kind = b"Content-Type: application/octet-stream\r\n"
    return b"POST %b HTTP/1.1\r\n%b%bContent-Length: %d\r\n\r\n" % (
        path.encode(),
        HOST,
        kind,
        length,
    )


def get_head(path: str) -> bytes:
    """Return a request without a body."""
    return b"GET %b HTTP/1.1\r\n%b\r\n" % (path.encode(), HOST)

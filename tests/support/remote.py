"""A remote HTTP server of which each path does what a test says, over plain HTTP or TLS."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Received:
    """One request, as the server got it."""

    method: str
    path: str
    headers: Mapping[str, str]
    """By name in lower case."""
    body: bytes
    server_name: str | None
    """The name in TLS's SNI."""


Answer = Callable[[asyncio.StreamWriter, Received], Awaitable[None]]


@dataclass
class Remote:
    """A running server, and the requests that it got."""

    port: int = 0
    answers: dict[str, Answer] = field(default_factory=dict)
    """By path, without query."""
    received: list[Received] = field(default_factory=list)
    server_name: str | None = None

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """The URL of a path."""
        return f"http://{host}:{self.port}{path}"

    def serves(self, path: str, body: bytes, status: int = 200, **headers: str) -> None:
        """Answer a path with this body; underscores of header names stand for hyphens."""

        async def answer(writer: asyncio.StreamWriter, _: Received) -> None:
            writer.write(head(status, {"Content-Length": str(len(body))} | named(headers)) + body)

        self.answers[path] = answer

    def redirects(self, path: str, location: str, status: int = 302) -> None:
        """Redirect a path."""
        self.serves(path, b"", status, Location=location)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            request = await self._request(reader)
            self.received.append(request)
            answer = self.answers.get(request.path.partition("?")[0])
            if answer is None:
                writer.write(head(404, {"Content-Length": "0"}))
            else:
                await answer(writer, request)
            await writer.drain()
        writer.close()

    async def _request(self, reader: asyncio.StreamReader) -> Received:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines if line)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        method, path, _ = first.split(" ")
        return Received(method, path, headers, body, self.server_name)


def head(status: int, headers: Mapping[str, str]) -> bytes:
    """The head of an answer."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} Text\r\n{lines}Connection: close\r\n\r\n".encode()


def named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


async def hang(_writer: asyncio.StreamWriter, _request: Received) -> None:
    """Never answer."""
    await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def remote_server(tls: ssl.SSLContext | None = None) -> AsyncIterator[Remote]:
    """A server on a free port of 127.0.0.1; connections still open are cut at the end."""
    remote, tasks = Remote(), set[asyncio.Task[None]]()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(asyncio.CancelledError):
            await remote.handle(reader, writer)
        tasks.discard(task)
        writer.close()

    if tls is not None:

        def note_name(_connection: object, name: str | None, _context: object) -> None:
            remote.server_name = name

        tls.sni_callback = note_name
    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    remote.port = server.sockets[0].getsockname()[1]
    try:
        yield remote
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()

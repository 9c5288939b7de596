"""Heads of requests that are far too large."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Iterator

from benchmarks.attacks.attack import Attack, keep_busy
from benchmarks.attacks.wire import HOST, PIECE, Attacker

CALLERS = 16
URL_BYTES = 50 << 20
HEADERS = 100_000


class _LargeHead(Attack):
    """Sends a head until it is answered or the connection is closed."""

    @abstractmethod
    def pieces(self) -> Iterator[bytes]:
        """Yield the head."""

    async def run(self, attacker: Attacker) -> None:
        async def once() -> None:
            async with attacker.connected() as (reader, writer):
                answering = asyncio.create_task(attacker.answer(reader))
                try:
                    for piece in self.pieces():
                        if answering.done():
                            break
                        await attacker.send(writer, piece)
                    await answering
                finally:
                    answering.cancel()
                    await asyncio.gather(answering, return_exceptions=True)

        await keep_busy(attacker, CALLERS, once)


class EndlessHeads(_LargeHead):
    """Attacks memory: a header field that never ends."""

    name = "endless-heads"

    def pieces(self) -> Iterator[bytes]:
        yield b"GET / HTTP/1.1\r\n" + HOST + b"X-A: "
        while True:
            yield b"a" * PIECE


class LongUrl(_LargeHead):
    """Attacks memory, and parsers of URLs: one of 50 MiB."""

    name = "long-url"

    def pieces(self) -> Iterator[bytes]:
        yield b"GET /"
        yield from [b"a" * PIECE] * (URL_BYTES // PIECE)
        yield b" HTTP/1.1\r\n" + HOST + b"\r\n"


class ManyHeaders(_LargeHead):
    """Attacks memory and time: 100,000 headers, each of which becomes an object."""

    name = "many-headers"

    def pieces(self) -> Iterator[bytes]:
        yield b"GET / HTTP/1.1\r\n" + HOST
        for start in range(0, HEADERS, 1000):
            yield b"".join(b"X-%d: 1\r\n" % number for number in range(start, start + 1000))
        yield b"\r\n"

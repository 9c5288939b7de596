"""Callers who ask for a large result and do not read it."""

from __future__ import annotations

import asyncio
import json
import socket

from benchmarks.attacks.attack import Attack, keep_busy
from benchmarks.attacks.wire import ATTACKER_ADDRESS, Attacker, get_head
from benchmarks.pictures import draw_noise
from images.encode import encode
from images.picture import Picture, Raster
from jobs.formats import ImageFormat

SIDE = 3600
"""Of a picture of noise, whose PNG has 39 MB."""
CALLERS = 100
HELD_S = 40.0
"""Longer than an answer without progress is held."""
RECEIVED_BYTES = 4096
"""Room of the attacker's sockets, so that the gateway keeps the rest."""
MADE_S = 120.0
QUALITY = 30


class UnreadResults(Attack):
    """Attacks the gateway's memory: it has to keep what its callers do not take."""

    name = "unread-results"

    async def prepare(self, attacker: Attacker) -> None:
        noise = encode(Picture(Raster(draw_noise(SIDE, SIDE))), ImageFormat.JPEG, QUALITY)
        _, body = await attacker.post("/jobs?scale=1&strength=0&format=png", noise)
        job = json.loads(body)
        async with asyncio.timeout(MADE_S):
            while job["status"] != "succeeded":
                await asyncio.sleep(0.2)
                job = await attacker.get(f"/jobs/{job['id']}")
        self._path: str = job["links"]["result"]

    async def run(self, attacker: Attacker) -> None:
        async def once() -> None:
            await self._ask(attacker)

        await keep_busy(attacker, CALLERS, once)

    async def _ask(self, attacker: Attacker) -> None:
        """Ask for the result, and hold the connection without reading."""
        loop = asyncio.get_running_loop()
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED_BYTES)
            connection.setblocking(False)
            connection.bind((ATTACKER_ADDRESS, 0))
            await loop.sock_connect(connection, ("127.0.0.1", attacker.port))
            request = get_head(self._path)
            await loop.sock_sendall(connection, request)
            attacker.sent += len(request)
            await asyncio.sleep(HELD_S)

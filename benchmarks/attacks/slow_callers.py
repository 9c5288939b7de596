"""Callers who take connections and upload slots, and next to no bytes."""

from __future__ import annotations

import asyncio
import itertools

from benchmarks.attacks.attack import Attack, keep_busy
from benchmarks.attacks.wire import Attacker, post_head

CONNECTIONS = 1000
UPLOADS = 64
DECLARED_BYTES = 30_000_000
RATES = (1, 20_000)
"""Bytes per second: far below the least rate of an upload, and just above it."""


class IdleConnections(Attack):
    """Attacks the number of connections: as many as there may be, without a byte."""

    name = "idle-connections"

    async def run(self, attacker: Attacker) -> None:
        async def once() -> None:
            async with attacker.connected() as (reader, _):
                await attacker.answer(reader)

        await keep_busy(attacker, CONNECTIONS, once)


class SlowUploads(Attack):
    """Attacks the number of uploads: bodies that arrive as slowly as they may, and slower."""

    name = "slow-uploads"

    async def run(self, attacker: Attacker) -> None:
        rates = itertools.cycle(RATES)

        async def once() -> None:
            async with attacker.connected() as (reader, writer):
                await attacker.send(writer, post_head("/upscale?scale=2", DECLARED_BYTES))
                trickling = asyncio.create_task(self._trickle(attacker, writer, next(rates)))
                try:
                    await attacker.answer(reader)
                finally:
                    trickling.cancel()
                    await asyncio.gather(trickling, return_exceptions=True)

        await keep_busy(attacker, UPLOADS, once)

    async def _trickle(self, attacker: Attacker, writer: asyncio.StreamWriter, rate: int) -> None:
        while True:
            await attacker.send(writer, bytes(rate))
            await asyncio.sleep(1)

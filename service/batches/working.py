"""Working batches off: every gateway leases some, and goes on with those of one that died."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from jobs.outages import RECONNECT_S
from jobs.queue import Batches, BatchLease
from service.batches.making import Maker
from service.batches.run import BatchRun

log = logging.getLogger(__name__)

MOST_AT_ONCE = 32
"""Batches that one gateway holds. Each waits for its turn among them; further ones wait until one
has ended."""
ASK_EVERY_S = 1.0


class BatchWorker:
    """Works off batches for as long as it runs, with `jobs` of their sources at once."""

    def __init__(self, batches: Batches, maker: Maker, jobs: int) -> None:
        self._batches = batches
        self._maker = maker
        self._slots = asyncio.Semaphore(jobs)
        self._tasks: set[asyncio.Task[None]] = set()
        self._new = asyncio.Event()

    def wake(self) -> None:
        """Look for batches at once."""
        self._new.set()

    async def run(self) -> None:
        """Work until cancelled; then let other gateways go on."""
        try:
            while True:
                self._new.clear()
                try:
                    await self._claim()
                except ConnectionError as error:
                    log.warning("batches wait for the queue: %s", error)
                    await asyncio.sleep(RECONNECT_S)
                except Exception:
                    log.exception("batches could not be claimed")
                    await asyncio.sleep(RECONNECT_S)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(ASK_EVERY_S):
                        await self._new.wait()
        finally:
            tasks = tuple(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _claim(self) -> None:
        free = MOST_AT_ONCE - len(self._tasks)
        if free <= 0:
            return
        for lease in await self._batches.claim(free):
            task = asyncio.create_task(self._work(lease))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work(self, lease: BatchLease) -> None:
        """Work off one batch. After an error its lease runs out, and a gateway goes on with it."""
        try:
            await BatchRun(self._batches, self._maker, self._slots, lease).run()
        except asyncio.CancelledError:
            with contextlib.suppress(ConnectionError):
                await self._batches.release(lease)
            raise
        except Exception as error:
            log.warning("batch %s is interrupted: %r", lease.batch_id, error)

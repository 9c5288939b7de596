"""One leased batch: its sources are made one after the other, several at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from jobs.batch import BatchItem, BatchOrder, ItemState, item_job_id
from jobs.queue import Batches, BatchHold, BatchLease
from service.batches.making import Made, Maker

log = logging.getLogger(__name__)

RENEW_S = 1.0
PAGE = 50
"""Sources that are read at once."""


class BatchRun:
    """Works off a batch until it has ended, or its lease is lost.

    A source is written as running before its picture is fetched, and its job has an id of its own,
    which the queue accepts once. So a gateway that takes over begins no source anew whose job is in
    the queue, and forgets none.
    """

    def __init__(
        self, batches: Batches, maker: Maker, slots: asyncio.Semaphore, lease: BatchLease
    ) -> None:
        self._batches = batches
        self._maker = maker
        self._slots = slots
        self._lease = lease
        self._hold = BatchHold.HELD

    async def run(self) -> None:
        """Return once nothing is left to do under this lease. Raises ConnectionError, or a group of
        them."""
        order = (await self._batches.view(self._lease.batch_id)).order
        keeping = asyncio.create_task(self._keep())
        working = asyncio.create_task(self._work(order))
        try:
            await asyncio.wait((keeping, working), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                await working
            else:
                await _cancelled(working)
                await keeping
            if self._hold is BatchHold.CANCELLING:
                await self._withdraw()
        finally:
            await _cancelled(keeping, working)

    async def _keep(self) -> None:
        """Prolong the lease, for as long as the batch is this gateway's to work off."""
        while self._hold is BatchHold.HELD:
            self._hold = await self._batches.renew(self._lease)
            await asyncio.sleep(RENEW_S)

    async def _work(self, order: BatchOrder) -> None:
        async with asyncio.TaskGroup() as group:
            async for index, item in self._unfinished():
                # Batches take turns: those that wait for a slot get it in the order of waiting.
                await self._slots.acquire()
                task = group.create_task(self._make(order, index, item))
                task.add_done_callback(lambda _: self._slots.release())
                if self._hold is not BatchHold.HELD:
                    return

    async def _unfinished(self) -> AsyncIterator[tuple[int, BatchItem]]:
        first = 0
        while page := await self._batches.items(self._lease.batch_id, first, PAGE):
            placed = await self._batches.with_urls(self._lease.batch_id, first, page)
            for index, item in enumerate(placed, first):
                if not item.state.ended:
                    yield index, item
            first += len(page)

    async def _make(self, order: BatchOrder, index: int, item: BatchItem) -> None:
        begun = item.state is ItemState.RUNNING
        if not begun:
            await self._record(index, item, Made(ItemState.RUNNING))
        if self._hold is not BatchHold.HELD:
            return
        job_id = item_job_id(self._lease.batch_id, index)
        made = await self._maker.make(order, job_id, item, begun=begun)
        await self._record(index, item, made)

    async def _withdraw(self) -> None:
        """Cancel the jobs of the sources that had begun. Those that waited have ended already."""
        async for index, item in self._unfinished():
            made = await self._maker.withdraw(item_job_id(self._lease.batch_id, index))
            await self._record(index, item, made)

    async def _record(self, index: int, item: BatchItem, made: Made) -> None:
        moved = item.moved(made.state, made.error)
        self._hold = await self._batches.record(self._lease, index, moved)
        if self._hold is BatchHold.ENDED:
            log.info("batch ended", extra={"batch": self._lease.batch_id})


async def _cancelled(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

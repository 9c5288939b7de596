"""Callers of batches: one fetches what was made, the other withdraws what is left."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from benchmarks.soak.asks import Ask
from benchmarks.soak.calling import BATCH_ENDS, Record, Service, judge_picture
from benchmarks.soak.drawing import file_of
from benchmarks.soak.neighbour import Neighbour
from benchmarks.soak.outcomes import Fault


class BatchCallers:
    """Both kinds of callers of batches."""

    def __init__(self, service: Service, neighbour: Neighbour) -> None:
        self._service = service
        self._neighbour = neighbour

    async def finished(self, ask: Ask, picture: bytes) -> bool:
        """Follow a batch to its end, and fetch its pictures. Its jobs are never late, because they
        have ten minutes."""
        async with self._submitted(ask, picture) as batch:
            path, fetched = f"/batches/{batch['id']}", set[int]()
            async for state in self._service.changes(path):
                batch = state
                await self._fetch(ask, path, fetched)
            if batch["status"] != "finished":
                raise Fault(f"the batch ended as {batch['status']}")
        return False

    async def _fetch(self, ask: Ask, path: str, fetched: set[int]) -> None:
        """Fetch the pictures that were made since the last time: none is kept for long."""
        for item in (await self._service.record("GET", f"{path}/items"))["items"]:
            if item["state"] in ("failed", "cancelled"):
                raise Fault(f"a source ended as {item['state']}: {item['error']}")
            if item["state"] == "succeeded" and item["index"] not in fetched:
                fetched.add(item["index"])
                answer = await self._service.send("GET", f"/jobs/{item['job_id']}/result")
                judge_picture(ask, answer.content, item["index"])

    async def withdrawn(self, ask: Ask, picture: bytes) -> bool:
        """Withdraw a batch."""
        async with self._submitted(ask, picture) as batch:
            path = f"/batches/{batch['id']}"
            await asyncio.sleep(ask.patience_s)
            await self._service.record("DELETE", path)
            await self._service.ended(path, BATCH_ENDS)
        return False

    @contextlib.asynccontextmanager
    async def _submitted(self, ask: Ask, first: bytes) -> AsyncIterator[Record]:
        more = await asyncio.to_thread(lambda: [file_of(one) for one in ask.drawings[1:]])
        names = [f"batch-{ask.number}-{place}" for place in range(len(ask.drawings))]
        shown = zip(names, (first, *more), strict=True)
        addresses = [self._neighbour.show(name, file) for name, file in shown]
        wishes = {k: v for k, v in ask.parameters.items() if k != "latency_budget_ms"}
        body = {"sources": [{"image_url": url} for url in addresses], "options": wishes}
        try:
            yield await self._service.record("POST", "/batches", json=body)
        finally:
            for name in names:
                self._neighbour.forget(name)

"""Batches on Redis: a record and a list of sources each; one set of those that have not ended."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

from redis.exceptions import OutOfMemoryError, ResponseError

from jobs.batch import BatchItem, BatchView, NewBatch, record_name
from jobs.batch_records import batch_in, element_of, item_of, urls_of, with_url
from jobs.codec import BATCH_ORDER
from jobs.connection import Command, SteadyRedis
from jobs.durability import DurableCalls
from jobs.errors import (
    AnysrError,
    DataLoss,
    IdempotencyKeyReused,
    NotDurableYet,
    Overloaded,
)
from jobs.event_hub import EventHub, Subscription
from jobs.keys import Keys
from jobs.outages import reports_outages
from jobs.queue import Batches, BatchHold, BatchLease
from jobs.records import pairs
from jobs.scripts import Argument, Scripts
from jobs.terms import NO_TERMS, Terms
from jobs.waiting import Waiting

log = logging.getLogger(__name__)

LEASE_MS = 15_000
"""A gateway renews it each second, so one that is silent for so long has died."""
FULL_RETRY_S = 30


class RedisBatches(Batches):
    """The batches of one namespace."""

    def __init__(
        self,
        client: SteadyRedis,
        keys: Keys,
        scripts: Scripts,
        durable: DurableCalls,
        hub: EventHub,
    ) -> None:
        self._client = client
        self._durable = durable
        self._keys = keys
        self._scripts = scripts
        self._waiting = Waiting(hub)

    @reports_outages
    async def create(
        self, batch: NewBatch, most: int, most_own: int, terms: Terms = NO_TERMS
    ) -> BatchView:
        arguments: tuple[Argument, ...] = (
            *(record_name(batch.id), BATCH_ORDER.encode(batch.order), batch.order.client),
            *(most, most_own, *self._keys_of(terms)),
            *urls_of(batch.items),
            *map(element_of, batch.items),
        )
        try:
            answer, on_disk = await self._run_create(batch.id, arguments, durable=terms.durable)
        except OutOfMemoryError:
            raise Overloaded(retry_after_s=FULL_RETRY_S) from None
        if answer[0] == b"full":
            raise Overloaded(
                "There are as many unfinished batches as this service keeps.",
                retry_after_s=FULL_RETRY_S,
            )
        if answer[0] == b"reused":
            raise IdempotencyKeyReused
        view = _created(batch, answer)
        if not on_disk:
            if terms.idempotency is None:
                with contextlib.suppress(AnysrError, ConnectionError):
                    await self.cancel(view.id)
            raise NotDurableYet
        return view

    async def _run_create(
        self, batch_id: str, arguments: Sequence[Argument], *, durable: bool
    ) -> tuple[list[Any], bool]:
        """Return the answer of create_batch.lua, and, of a durable batch, whether it is on disk."""
        if durable:
            return await self._scripts.run_durably(
                self._durable, (), "create_batch", *arguments, batch_id=batch_id
            )
        return await self._scripts.run_on_batch(batch_id, "create_batch", *arguments), True

    def _keys_of(self, terms: Terms) -> tuple[str, str, str, str]:
        """Return the terms as create_batch.lua takes them."""
        once, target = terms.idempotency, terms.webhook
        key = (self._keys.idempotency_key(once.digest), once.fingerprint) if once else ("", "")
        return (*key, target.url, target.host) if target else (*key, "", "")

    @reports_outages
    async def view(self, batch_id: str) -> BatchView:
        name = record_name(batch_id)
        (record,) = await self._client.together(("HGETALL", self._keys.record(name)))
        return batch_in(name, record)

    def watch(self, batch_id: str) -> AsyncIterator[BatchView]:
        async def read(name: str, event: Subscription | None) -> BatchView:
            del name, event  # the record has the state as it is now
            return await self.view(batch_id)

        return self._waiting.watch(record_name(batch_id), read)

    @reports_outages
    async def items(self, batch_id: str, first: int, most: int) -> list[BatchItem]:
        reading = ("LRANGE", self._keys.batch_items(batch_id), first, first + most - 1)
        (elements,) = await self._client.together(reading)
        if isinstance(elements, ResponseError):
            log.warning("damaged sources of a batch: %s", elements)
            raise DataLoss.of("batch")
        return [item_of(element) for element in elements]

    @reports_outages
    async def with_urls(
        self, batch_id: str, first: int, items: Sequence[BatchItem]
    ) -> list[BatchItem]:
        indices = [i for i, item in enumerate(items, first) if item.result is not None]
        if not indices:
            return list(items)
        reading: Command = ("HMGET", self._keys.batch_urls(batch_id), *indices)
        (found,) = await self._client.together(reading)
        if isinstance(found, ResponseError):
            log.warning("damaged URLs of a batch: %s", found)
            raise DataLoss.of("batch")
        urls = dict(zip(indices, found, strict=True))
        return [with_url(item, urls.get(i)) for i, item in enumerate(items, first)]

    @reports_outages
    async def cancel(self, batch_id: str) -> BatchView:
        await self._scripts.run_on_batch(batch_id, "cancel_batch", record_name(batch_id))
        return await self.view(batch_id)

    @reports_outages
    async def claim(self, most: int) -> list[BatchLease]:
        rows = await self._scripts.run_on_batch("", "claim_batches", LEASE_MS, most)
        prefix = record_name("")
        return [BatchLease(row[0].decode().removeprefix(prefix), row[1].decode()) for row in rows]

    @reports_outages
    async def renew(self, lease: BatchLease) -> BatchHold:
        return await self._updated(lease, LEASE_MS)

    @reports_outages
    async def record(self, lease: BatchLease, index: int, item: BatchItem) -> BatchHold:
        return await self._updated(lease, LEASE_MS, index, element_of(item))

    @reports_outages
    async def release(self, lease: BatchLease) -> None:
        await self._updated(lease, 0)

    async def _updated(
        self, lease: BatchLease, lease_ms: int, index: int | str = "", element: bytes = b""
    ) -> BatchHold:
        answer = await self._scripts.run_on_batch(
            *(lease.batch_id, "update_batch", record_name(lease.batch_id)),
            *(lease.token, lease_ms, index, element),
        )
        return BatchHold(answer.decode())


def _created(batch: NewBatch, answer: list[Any]) -> BatchView:
    """Return the batch in the answer of create_batch.lua: the new one, or the one that has its
    idempotency key."""
    record = pairs(answer[1])
    return batch_in(record.get(b"name", record_name(batch.id).encode()).decode(), record)

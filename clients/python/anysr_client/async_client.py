"""The client, for callers that await."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from types import TracebackType
from typing import Self, Unpack

import httpx

from anysr_client import batch_operations
from anysr_client.answers import Estimate, Models
from anysr_client.async_batch import AsyncBatch
from anysr_client.async_driver import AsyncDriver
from anysr_client.async_job import AsyncJob
from anysr_client.batch_operations import Address, Order
from anysr_client.batches import AT_ONCE, BatchItem, check_concurrency, run_batch_async
from anysr_client.deadline import When, deadline_of
from anysr_client.endpoint import Endpoint
from anysr_client.exchange import Terms
from anysr_client.operations import Operations, Wish
from anysr_client.options import EstimateOptions, JobOptions, Options
from anysr_client.retries import Retries
from anysr_client.uploads import Picture, Uploaded
from anysr_client.upscaled import Upscaled


class AsyncClient:
    """Calls a service of AnySR; several tasks may share one.

    `server` is its address, by default ANYSR_SERVER or this machine; `key` the caller's, by default
    ANYSR_KEY. `transport` replaces httpx's own, for proxies or certificates. A deadline is seconds
    from now or a Deadline; it covers retries and waiting, and the budget that is sent ends before
    it. Methods raise errors of `anysr_client.errors`. Raises ValueError for an address or a key
    that is none.
    """

    def __init__(
        self,
        server: str | None = None,
        *,
        key: str | None = None,
        retries: Retries | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        endpoint = Endpoint.of(server, key)
        self._http = httpx.AsyncClient(
            base_url=endpoint.address, headers=endpoint.headers, transport=transport
        )
        self._driver = AsyncDriver(self._http)
        self._operations = Operations(retries or Retries())

    async def upscale(
        self,
        picture: Picture,
        *,
        deadline: When = None,
        idempotency_key: str | None = None,
        **options: Unpack[Options],
    ) -> Upscaled:
        """Return the upscaled picture. Raises OSError where it cannot be read.

        With an `idempotency_key` the job goes on if the call ends early, and a later call with the
        same key and options gets its picture.
        """
        wish = Wish(picture, options, self._terms(deadline), idempotency_key)
        return await self._driver.run(self._operations.upscale(wish))

    async def submit(
        self,
        picture: Picture,
        *,
        deadline: When = None,
        idempotency_key: str | None = None,
        **options: Unpack[JobOptions],
    ) -> AsyncJob:
        """Return the job that makes the picture. The deadline is that of the job as well.

        Each call has an idempotency key; give one to submit the same job again from elsewhere.
        """
        wish = Wish(picture, options, self._terms(deadline), idempotency_key)
        state = await self._driver.run(self._operations.submit(wish))
        return AsyncJob(self._driver, self._operations, state.id, state, wish.terms.deadline)

    async def upload(self, picture: Picture, *, deadline: When = None) -> Uploaded:
        """Write a picture into the service's store, past the service itself, and return what one
        `upscale` or `submit` takes in its place. Raises InvalidRequest where there is no store."""
        return await self._driver.run(self._operations.upload(picture, self._terms(deadline)))

    def job(self, job_id: str) -> AsyncJob:
        """Return a job that was submitted before; nothing is sent."""
        return AsyncJob(self._driver, self._operations, job_id)

    def batch(
        self,
        sources: Iterable[Picture],
        *,
        concurrency: int = AT_ONCE,
        deadline: When = None,
        **options: Unpack[Options],
    ) -> AsyncGenerator[BatchItem, None]:
        """Upscale many pictures with the same options, `concurrency` of them at once, and yield
        each as soon as it is made. One that fails is an item with its error; the others go on.
        Sources are taken as they are needed. The deadline is that of all together."""
        check_concurrency(concurrency)
        shared = deadline_of(deadline)

        async def one(picture: Picture) -> Upscaled:
            return await self.upscale(picture, deadline=shared, **options)

        return run_batch_async(one, sources, concurrency)

    async def submit_batch(
        self,
        sources: Iterable[Address],
        *,
        deadline: When = None,
        webhook_url: str | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[Options],
    ) -> AsyncBatch:
        """Return the batch of many pictures, by their addresses, with the same options. The service
        fetches and makes them while it has room, beneath the work of callers who wait, so the
        deadline is that of this call alone. One that fails stops no other.

        Each call has an idempotency key; give one to submit the same batch again from elsewhere.
        """
        order = Order(sources, options, webhook_url, idempotency_key)
        flow = batch_operations.submit(order, self._terms(deadline))
        state = await self._driver.run(flow)
        return AsyncBatch(self._driver, self._operations, state.id, state)

    def submitted_batch(self, batch_id: str) -> AsyncBatch:
        """Return a batch that was submitted before; nothing is sent."""
        return AsyncBatch(self._driver, self._operations, batch_id)

    async def estimate(
        self, *, deadline: When = None, **options: Unpack[EstimateOptions]
    ) -> Estimate:
        """Return time, quality and budgets for a picture that is described, and not sent."""
        return await self._driver.run(self._operations.estimate(options, self._terms(deadline)))

    async def models(self, *, deadline: When = None) -> Models:
        """Return the models of the service, and its limits."""
        return await self._driver.run(self._operations.models(self._terms(deadline)))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _terms(self, deadline: When) -> Terms:
        return Terms(self._operations.retries, deadline_of(deadline))

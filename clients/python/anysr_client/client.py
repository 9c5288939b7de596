"""The client, for callers that block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self, Unpack

import httpx

from anysr_client import batch_operations
from anysr_client.answers import Estimate, Models
from anysr_client.batch import Batch
from anysr_client.batch_operations import Address, Order
from anysr_client.batches import AT_ONCE, BatchItem, check_concurrency, run_batch
from anysr_client.deadline import When, deadline_of
from anysr_client.driver import Driver
from anysr_client.endpoint import Endpoint
from anysr_client.exchange import Terms
from anysr_client.job import Job
from anysr_client.operations import Operations, Wish
from anysr_client.options import EstimateOptions, JobOptions, Options
from anysr_client.retries import Retries
from anysr_client.uploads import Picture, Uploaded
from anysr_client.upscaled import Upscaled


class Client:
    """Calls a service of AnySR; several threads may share one.

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
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        endpoint = Endpoint.of(server, key)
        self._http = httpx.Client(
            base_url=endpoint.address, headers=endpoint.headers, transport=transport
        )
        self._driver = Driver(self._http)
        self._operations = Operations(retries or Retries())

    def upscale(
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
        return self._driver.run(self._operations.upscale(wish))

    def submit(
        self,
        picture: Picture,
        *,
        deadline: When = None,
        idempotency_key: str | None = None,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Return the job that makes the picture. The deadline is that of the job as well.

        Each call has an idempotency key; give one to submit the same job again from elsewhere.
        """
        wish = Wish(picture, options, self._terms(deadline), idempotency_key)
        state = self._driver.run(self._operations.submit(wish))
        return Job(self._driver, self._operations, state.id, state, wish.terms.deadline)

    def upload(self, picture: Picture, *, deadline: When = None) -> Uploaded:
        """Write a picture into the service's store, past the service itself, and return what one
        `upscale` or `submit` takes in its place. Raises InvalidRequest where there is no store."""
        return self._driver.run(self._operations.upload(picture, self._terms(deadline)))

    def job(self, job_id: str) -> Job:
        """Return a job that was submitted before; nothing is sent."""
        return Job(self._driver, self._operations, job_id)

    def batch(
        self,
        sources: Iterable[Picture],
        *,
        concurrency: int = AT_ONCE,
        deadline: When = None,
        **options: Unpack[Options],
    ) -> Iterator[BatchItem]:
        """Upscale many pictures with the same options, `concurrency` of them at once, and yield
        each as soon as it is made. One that fails is an item with its error; the others go on.
        Sources are taken as they are needed. The deadline is that of all together."""
        check_concurrency(concurrency)
        shared = deadline_of(deadline)

        def one(picture: Picture) -> Upscaled:
            return self.upscale(picture, deadline=shared, **options)

        return run_batch(one, sources, concurrency)

    def submit_batch(
        self,
        sources: Iterable[Address],
        *,
        deadline: When = None,
        webhook_url: str | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[Options],
    ) -> Batch:
        """Return the batch of many pictures, by their addresses, with the same options. The service
        fetches and makes them while it has room, beneath the work of callers who wait, so the
        deadline is that of this call alone. One that fails stops no other.

        Each call has an idempotency key; give one to submit the same batch again from elsewhere.
        """
        order = Order(sources, options, webhook_url, idempotency_key)
        flow = batch_operations.submit(order, self._terms(deadline))
        state = self._driver.run(flow)
        return Batch(self._driver, self._operations, state.id, state)

    def submitted_batch(self, batch_id: str) -> Batch:
        """Return a batch that was submitted before; nothing is sent."""
        return Batch(self._driver, self._operations, batch_id)

    def estimate(self, *, deadline: When = None, **options: Unpack[EstimateOptions]) -> Estimate:
        """Return time, quality and budgets for a picture that is described, and not sent."""
        return self._driver.run(self._operations.estimate(options, self._terms(deadline)))

    def models(self, *, deadline: When = None) -> Models:
        """Return the models of the service, and its limits."""
        return self._driver.run(self._operations.models(self._terms(deadline)))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _terms(self, deadline: When) -> Terms:
        return Terms(self._operations.retries, deadline_of(deadline))

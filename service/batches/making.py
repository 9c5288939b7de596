"""Making: from one source of a batch to the end of its job."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace

from jobs.batch import BatchItem, BatchOrder, ItemState
from jobs.errors import (
    AnysrError,
    InternalError,
    JobNotFound,
    NotReady,
    Overloaded,
    ShareExceeded,
    TooManyJobs,
    Unauthorized,
)
from jobs.formats import ImageFormat
from jobs.job import JobStatus, JobView
from jobs.queue import Submissions
from jobs.terms import Terms
from scheduling.request import AUTO
from service.access.key_store import KeyStore
from service.access.keys import ANYONE, Client
from service.batches.order import wishes
from service.batches.pace import Pace
from service.catalog_store import CatalogStore
from service.dispatcher import Dispatcher
from service.metrics import GatewayMetrics
from service.negotiation import format_of_result
from service.settings import GatewaySettings
from service.upload_plan import JobPlanner, header_of
from service.uploads import Upload, UploadReader

log = logging.getLogger(__name__)

WAIT_S = 60.0
LONGEST_PAUSE_S = 30.0
"""Longest pause after a refusal that passes, whatever its Retry-After says."""
PASSES = (NotReady, Overloaded, ShareExceeded, TooManyJobs)
"""Refusals after which the same source is tried again."""


@dataclass(frozen=True)
class Made:
    """How a source ended."""

    state: ItemState
    error: AnysrError | None = None


@dataclass(frozen=True)
class Parts:
    """The parts of a gateway that making needs."""

    settings: GatewaySettings
    submissions: Submissions
    uploads: UploadReader
    dispatcher: Dispatcher
    catalogs: CatalogStore
    metrics: GatewayMetrics
    keys: KeyStore | None
    pace: Pace


class Maker:
    """Fetches the pictures of sources, submits their jobs, and waits for these."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._planner = JobPlanner(parts.settings)

    async def make(self, order: BatchOrder, job_id: str, item: BatchItem, *, begun: bool) -> Made:
        """Have a source made as the job of this id. With `begun`, another gateway may have
        submitted it already. Raises ConnectionError."""
        try:
            view = await self._known(job_id) if begun else None
            if view is None:
                view = await self._submitted(order, job_id, item)
            while not view.ended:
                view = await self._parts.submissions.wait(job_id, WAIT_S)
        except ConnectionError:
            raise
        except AnysrError as error:
            return Made(ItemState.FAILED, error)
        except Exception:
            log.exception("the source of job %s could not be made", job_id)
            return Made(ItemState.FAILED, InternalError())
        finally:
            self._parts.pace.job_ended()
        return made(view)

    async def withdraw(self, job_id: str) -> Made:
        """Cancel the job of a source, if it was submitted. Raises ConnectionError."""
        try:
            return made(await self._parts.submissions.cancel(job_id))
        except JobNotFound:
            return Made(ItemState.CANCELLED)

    async def _known(self, job_id: str) -> JobView | None:
        try:
            return await self._parts.submissions.view(job_id)
        except JobNotFound:
            return None

    async def _submitted(self, order: BatchOrder, job_id: str, item: BatchItem) -> JobView:
        """Return the job of a source, in the queue, as soon as that has room."""
        while True:
            await self._parts.pace.room()
            try:
                return await self._submit(order, job_id, item)
            except PASSES as refusal:
                pause_s = float(refusal.details.get("retry_after_s", 1.0))
            await asyncio.sleep(min(pause_s, LONGEST_PAUSE_S))

    async def _submit(self, order: BatchOrder, job_id: str, item: BatchItem) -> JobView:
        parts, client = self._parts, self._client(order.client)
        wanted = wishes(order.options)
        async with parts.uploads.fetched(item.image_url, wanted) as upload:
            header = await header_of(upload, parts.settings.max_source_pixels)
            upload = _with_format(upload, format_of_result("", header.format.own_output))
            budget_ms = client.largest_budget_ms(parts.settings.default_batch_budget_ms)
            job = self._planner.job(
                job_id, upload, header, client, parts.catalogs.catalog, budget_ms
            )
            limits = client.limits if client.limits.counted else None
            view = await parts.dispatcher.submit(
                *(job, upload.picture, upload.received),
                limits=limits,
                terms=Terms(result=item.result, fixed_id=True),
            )
        parts.metrics.picture_admitted(view.job, len(upload.picture))
        parts.dispatcher.count_end_in_background(view)
        return view

    def _client(self, name: str) -> Client:
        """Return the client of a batch with its limits of now. Raises Unauthorized once it has no
        key any more."""
        if self._parts.keys is None:
            return ANYONE
        for key in self._parts.keys.ring.keys.values():
            if key.client.name == name:
                return key.client
        raise Unauthorized("The keys of this batch's client were revoked.")


def made(view: JobView) -> Made:
    """Return how a source ended whose job has ended."""
    if view.status is JobStatus.SUCCEEDED:
        return Made(ItemState.SUCCEEDED)
    if view.status is JobStatus.CANCELLED:
        return Made(ItemState.CANCELLED)
    return Made(ItemState.FAILED, view.error)


def _with_format(upload: Upload, chosen: ImageFormat) -> Upload:
    if upload.wanted.format != AUTO:
        return upload
    return replace(upload, wanted=upload.wanted.model_copy(update={"format": chosen}))

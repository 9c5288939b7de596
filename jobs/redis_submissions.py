"""Submissions on Redis: a job goes in with its picture in one round trip, and is awaited."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from redis.exceptions import OutOfMemoryError

from jobs.backlog import QueueStats, backlog_of, stats_of
from jobs.blob_store import BlobStore
from jobs.client_limits import ClientLimits, quota_exceeded, too_many_jobs
from jobs.codec import JOB
from jobs.connection import Command
from jobs.digests import digest_off_loop, is_whole
from jobs.durability import DurableCalls
from jobs.errors import AnysrError, DataLoss, NotDurableYet, Overloaded, ResultExpired
from jobs.event_hub import EventHub, Subscription
from jobs.job import DeliveryView, Job, JobStatus, JobView, Outcome
from jobs.keys import Keys
from jobs.outages import reports_outages
from jobs.queue import NoTime, OverShare, Submissions
from jobs.records import JobRecords, earlier_in
from jobs.redis_clients import optional
from jobs.scripts import Argument, Scripts
from jobs.settings import QueueSettings
from jobs.terms import (
    NO_TERMS,
    Idempotency,
    Terms,
    idempotency_in_scripts,
    terms_in_scripts,
)
from jobs.waiting import Waiting

log = logging.getLogger(__name__)

ASK_FIRST_BYTES = 1 << 18
"""A picture larger than this is sent only once the queue would accept its job."""


class _Offer(NamedTuple):
    """A job that is sent with its picture."""

    job_id: str
    payload: bytes
    wishes: tuple[Argument, ...]
    """Arguments of submit.lua before that which tells whether the picture was sent."""
    agreed: tuple[Argument, ...]
    """Arguments after that."""
    client: str | None
    durable: bool


class RedisSubmissions(Submissions):
    """Records, pictures and events of the jobs of one namespace."""

    def __init__(
        self,
        keys: Keys,
        scripts: Scripts,
        durable: DurableCalls,
        blobs: BlobStore,
        records: JobRecords,
        hub: EventHub,
        settings: QueueSettings,
    ) -> None:
        self._keys = keys
        self._scripts = scripts
        self._durable = durable
        self._blobs = blobs
        self._records = records
        self._hub = hub
        self._waiting = Waiting(hub)
        self._settings = settings
        # A job that waits for longer than its upload is kept fails, and has no picture.
        self._kept_s = settings.payload_ttl_seconds + settings.result_ttl_seconds

    @reports_outages
    async def submit(
        self,
        job: Job,
        payload: bytes,
        spent_ms: float = 0.0,
        workers: int = 0,
        limits: ClientLimits | None = None,
        terms: Terms = NO_TERMS,
    ) -> JobView:
        if terms.durable:
            await self.check_durable()
        self._hub.start()  # before the job can end
        job = replace(job, source_digest=await digest_off_loop(payload))
        remaining_ms, limit = job.budget_ms - spent_ms, self._settings.queue_limit
        arguments = (
            *(job.id, JOB.encode(job), remaining_ms, job.cheapest_ms, job.on_miss.value, limit),
            *(job.narrowest_ms, job.requirement, job.overhead_ms, workers),
            *(self._settings.payload_ttl_seconds, "1" if job.small else ""),
            self._hub.result_channel,
            *_counted(job, limits),
        )
        client = limits.client if limits else None
        try:
            agreed = terms_in_scripts(terms, self._keys, self._kept_s)
            last: tuple[Argument, ...] = (*agreed, job.client or "", job.share)
            offer = _Offer(job.id, payload, arguments, last, client, terms.durable)
            answer, on_disk = await self._offer(offer)
        except OutOfMemoryError as error:
            await self._blobs.drop_payloads([job.id])
            raise _overloaded(await self._waiting_ms(), workers) from error
        if answer[0] == b"full":
            raise _overloaded(float(answer[1]) / 1e3, workers)
        view = await self._view_in(answer, job, limits, terms)
        if not on_disk:
            await self._withdraw_unconfirmed(view, terms)
            raise NotDurableYet
        return view

    async def _view_in(
        self, answer: list[Any], job: Job, limits: ClientLimits | None, terms: Terms
    ) -> JobView:
        """Return the job of an answer of submit.lua, or raise why it was refused."""
        if answer[0] == b"over" and limits is not None:
            raise over(job, limits, *answer[1:])
        if answer[0] == b"share":
            raise OverShare(float(answer[1]), backlog_of(answer[2]))
        if answer[0] == b"late":
            raise NoTime(float(answer[1]), backlog_of(answer[2]))
        if answer[0] == b"known":
            return await self._known(job.id)
        if (earlier := earlier_in(answer)) is not None:
            return earlier
        times = float(answer[1]), float(answer[2])
        webhook, result = terms.webhook, terms.result
        return JobView(
            *(job, JobStatus.QUEUED, *times),
            webhook=DeliveryView(webhook.url, webhook.host) if webhook else None,
            destination=DeliveryView(result.place, result.host) if result else None,
        )

    async def _withdraw_unconfirmed(self, view: JobView, terms: Terms) -> None:
        """Cancel a job that may not be on disk, unless its caller can ask for it again."""
        if terms.idempotency is None:
            with contextlib.suppress(AnysrError, ConnectionError):
                await self.cancel(view.job.id)

    @reports_outages
    async def check_durable(self) -> None:
        await self._durable.check()
        await self._blobs.check_durable()

    @reports_outages
    async def earlier(self, idempotency: Idempotency, durable: bool = False) -> JobView | None:
        named, on_disk = idempotency_in_scripts(idempotency, self._keys), True
        answer = await self._scripts.run("repeated", *named)
        if answer and durable:
            answer, on_disk = await self._scripts.run_durably(self._durable, (), "repeated", *named)
        view = earlier_in(answer) if answer else None
        if not on_disk:
            raise NotDurableYet
        return view

    async def _offer(self, offer: _Offer) -> tuple[list[Any], bool]:
        """Send a job with its picture; a large one only if the job would be accepted. Return the
        answer of submit.lua, and, of a durable job, whether it is on disk."""
        if self._blobs.here is None or len(offer.payload) > ASK_FIRST_BYTES:
            answer = await self._scripts.run("submit", *_step(offer, ""), client=offer.client)
            if answer[0] != b"free":
                return await self._found(answer, offer)
        if (here := self._blobs.here) is not None:
            putting = here.putting_payload(offer.job_id, offer.payload)
            return await self._run_submit((putting,), offer, "stored")
        if not await self._blobs.put_payload(offer.job_id, offer.payload, durable=offer.durable):
            await self._blobs.drop_payloads([offer.job_id])
            raise NotDurableYet
        answer, on_disk = await self._run_submit((), offer, "stored")
        if answer[0] not in (b"accepted", b"known"):
            await self._blobs.drop_payloads([offer.job_id])
        return answer, on_disk

    async def _found(self, answer: list[Any], offer: _Offer) -> tuple[list[Any], bool]:
        """Return an answer of submit.lua to a job that it did not accept, and, where that is a job
        which was accepted before, whether that is on disk."""
        if offer.durable and answer[0] in (b"known", b"same"):
            return await self._run_submit((), offer, "")
        return answer, True

    async def _run_submit(
        self, before: Sequence[Command], offer: _Offer, stored: str
    ) -> tuple[list[Any], bool]:
        arguments = _step(offer, stored)
        if offer.durable:
            return await self._scripts.run_durably(
                self._durable, before, "submit", *arguments, client=offer.client
            )
        answer = await self._scripts.run_after(before, "submit", *arguments, client=offer.client)
        return answer, True

    async def _known(self, job_id: str) -> JobView:
        view = await self._records.view(job_id)
        if view.ended:
            await self._blobs.drop_payloads([job_id])
        return view

    async def _waiting_ms(self) -> float:
        """Return the cheapest costs of all that waits."""
        return (await self.stats()).backlog_ms

    @reports_outages
    async def cancel(self, job_id: str) -> JobView:
        await self._scripts.run("cancel", job_id)
        view = await self._records.view(job_id)
        if view.status is JobStatus.CANCELLED:
            await self._blobs.drop_payloads_apart([job_id])
        return view

    @reports_outages
    async def view(self, job_id: str) -> JobView:
        return await self._records.view(job_id)

    async def wait(self, job_id: str, timeout_s: float) -> JobView:
        return await self._waiting.wait(job_id, timeout_s, self._read)

    async def outcome(
        self,
        view: JobView,
        submitted: float,
        timeout_s: float,
        with_picture: Callable[[], bool] = lambda: True,
    ) -> Outcome:
        async def read(job_id: str, event: Subscription | None) -> Outcome:
            token = None if event is None else event.token
            if event is None or token is None or not with_picture():
                return await self._read_outcome(job_id, None)
            if event.result_event is not None:
                return event.result_event.outcome(view)
            return await self._read_outcome(job_id, token)

        if view.ended:
            return await read(view.job.id, None)
        return await self._waiting.wait(view.job.id, timeout_s, read, submitted)

    def watch(self, job_id: str) -> AsyncIterator[JobView]:
        return self._waiting.watch(job_id, self._read)

    async def _read(self, job_id: str, event: Subscription | None) -> JobView:
        del event  # the record has the state as it is now
        return await self.view(job_id)

    @reports_outages
    async def _read_outcome(self, job_id: str, token: int | None) -> Outcome:
        """Read a job, and its picture in the same round trip where its token is known and the
        pictures are on the queue's server."""
        here = self._blobs.here
        if token is None or here is None:
            return Outcome(await self._records.view(job_id))
        getting = here.getting_result(job_id, token)
        view, picture = await self._records.view_and(job_id, getting)
        if picture is None or view.token != token:
            return Outcome(view)
        # An altered one is read again, and refused there.
        return Outcome(view, picture if await is_whole(picture, view.picture_digest) else None)

    @reports_outages
    async def result(self, view: JobView) -> bytes:
        if view.status is not JobStatus.SUCCEEDED:
            raise view.error
        picture = await self._blobs.result(view.job.id, view.token)
        if picture is None:
            raise ResultExpired
        if not await is_whole(picture, view.picture_digest):
            log.warning("the picture of job %s is not the one that was made", view.job.id)
            raise DataLoss.of("result")
        return picture

    @reports_outages
    async def result_bytes(self, view: JobView) -> int:
        return await self._blobs.result_bytes(view.job.id, view.token)

    @reports_outages
    async def result_url(self, view: JobView) -> str | None:
        if view.status is not JobStatus.SUCCEEDED:
            raise view.error
        return await self._blobs.result_url(view.job.id, view.token)

    async def drop_results(self, views: Iterable[JobView]) -> None:
        await self._blobs.drop_results((view.job.id, view.token) for view in views)

    @reports_outages
    async def stats(self, client: str | None = None, share: int = 1) -> QueueStats:
        return stats_of(await self._scripts.run("stats", client or "", share))


def _overloaded(waiting_ms: float, workers: int) -> Overloaded:
    """Return the error with the time that so many workers take for the backlog at its cheapest."""
    return Overloaded(retry_after_s=max(1, math.ceil(waiting_ms / max(1, workers) / 1000)))


def _step(offer: _Offer, stored: str) -> tuple[Argument, ...]:
    """Return the arguments of submit.lua."""
    return (*offer.wishes, stored, *offer.agreed)


def _counted(job: Job, limits: ClientLimits | None) -> tuple[Argument, Argument, Argument]:
    """Return the job's output pixels, and the limits that they are compared with."""
    pixels = job.output_width * job.output_height
    if limits is None:
        return pixels, "", ""
    return pixels, optional(limits.pixels_per_day), optional(limits.jobs_waiting)


def over(job: Job, limits: ClientLimits, why: bytes, used: bytes, day_ms: bytes) -> AnysrError:
    """Return the error of a job that its client's limits do not allow."""
    if why == b"jobs":
        return too_many_jobs(limits)
    left = max(0, (limits.pixels_per_day or 0) - int(float(used)))
    return quota_exceeded(limits, left, float(day_ms) / 1e3, job.output_width * job.output_height)

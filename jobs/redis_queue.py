"""The queue on Redis: earliest latest-start first, leases, fenced results.

Every change is one Lua script on the server's own clock, so a gateway, a worker or Redis itself
(with an append-only file) may die between any two lines here and no accepted job is lost. Lives
on a single Redis, not on a cluster.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterable
from typing import Any

from redis.exceptions import OutOfMemoryError

from jobs.backlog import backlog_of, stats_of
from jobs.blob_store import BlobStore
from jobs.codec import JOB
from jobs.connection import SteadyRedis, connect, reports_outages
from jobs.errors import (
    AnysrError,
    JobCancelled,
    JobNotFinished,
    JobNotFound,
    Overloaded,
    from_code,
)
from jobs.event_hub import EventHub
from jobs.job import (
    Claim,
    Job,
    JobStatus,
    JobView,
    LeaseState,
    Outcome,
    QueueHealth,
    QueueStats,
    RunFacts,
    WorkerHeartbeat,
)
from jobs.keys import Keys
from jobs.leasing import Capabilities, Leasing
from jobs.queue import NoTime
from jobs.queue_health import QueueHealthReader
from jobs.records import JobRecords
from jobs.scripts import Argument, Scripts
from jobs.settings import QueueSettings
from jobs.waiting import Waiting
from jobs.wakeup import WakeupSignal
from jobs.worker_registry import WorkerRegistry

ASK_FIRST_BYTES = 1 << 18
"""A picture larger than this is sent only when its job is known to be welcome."""

ASKED_S = 3600
"""How long workers that start load what was asked for before."""


class RedisQueue:
    """`jobs.queue.JobQueue` on one Redis, or two when pictures have their own."""

    def __init__(self, client: SteadyRedis, blobs: SteadyRedis, settings: QueueSettings) -> None:
        keys, apart = Keys(settings.namespace), blobs is not client
        self._client = client
        self._blob_client = blobs
        self._settings = settings
        self._keys = keys
        self._scripts = Scripts(client, keys, settings.job_ttl_seconds, pictures_here=not apart)
        self._blobs = BlobStore(blobs, keys, settings, apart=apart)
        self._registry = WorkerRegistry(client, keys, self._scripts, settings.pulse_ttl_seconds)
        wake = WakeupSignal(client, keys.wake)
        self._leasing = Leasing(self._scripts, self._blobs, wake, settings)
        self._hub = EventHub(client, keys.ended, keys.changes)
        self._records = JobRecords(client, keys)
        self._waiting = Waiting(self._hub)
        servers = {"queue": client, "pictures": blobs} if apart else {"queue": client}
        self._health = QueueHealthReader(client, keys, servers)

    @classmethod
    def connect(cls, url: str, settings: QueueSettings) -> RedisQueue:
        """Return the queue of a Redis URL; it connects at its first use."""
        client = connect(url)
        return cls(client, connect(settings.blob_url) if settings.blob_url else client, settings)

    @reports_outages
    async def submit(
        self, job: Job, payload: bytes, spent_ms: float = 0.0, workers: int = 0
    ) -> JobView:
        """Accept a job; one that is already here, by its id, is returned as it is.

        Raises Overloaded (details: retry_after_s) when the queue or Redis's memory is full, and
        NoTime.
        """
        self._hub.start()  # to hear of its end from the beginning
        remaining_ms, limit = job.budget_ms - spent_ms, self._settings.queue_limit
        arguments = (
            *(job.id, JOB.encode(job), remaining_ms, job.cheapest_ms, job.on_miss.value, limit),
            *(job.network_ms, job.requirement, job.overhead_ms, workers),
            self._settings.payload_ttl_seconds,
        )
        try:
            answer = await self._offer(job.id, payload, arguments)
        except OutOfMemoryError as error:
            await self._blobs.drop_payloads([job.id])
            raise await self._overloaded() from error
        if answer[0] == b"full":
            raise await self._overloaded()
        if answer[0] == b"late":
            raise NoTime(float(answer[1]), backlog_of(answer[2]))
        if answer[0] == b"known":
            return await self._known(job.id)
        return JobView(job, JobStatus.QUEUED, float(answer[1]), float(answer[2]))

    async def _offer(self, job_id: str, payload: bytes, arguments: tuple[Argument, ...]) -> Any:
        """Send a job with its picture; a large one is not sent for nothing."""
        if self._blobs.apart or len(payload) > ASK_FIRST_BYTES:
            answer = await self._scripts.run("submit", *arguments, "")
            if answer[0] != b"free":
                return answer
        if not self._blobs.apart:
            putting = self._blobs.putting_payload(job_id, payload)
            return await self._scripts.run_after(putting, "submit", *arguments, "stored")
        await self._blobs.put_payload(job_id, payload)
        answer = await self._scripts.run("submit", *arguments, "stored")
        if answer[0] not in (b"accepted", b"known"):
            await self._blobs.drop_payloads([job_id])
        return answer

    async def _known(self, job_id: str) -> JobView:
        view = await self._records.view(job_id)
        if view.ended:
            await self._blobs.drop_payloads([job_id])
        return view

    async def _overloaded(self) -> Overloaded:
        """Say when the backlog will be gone, were all of it made in the cheapest way."""
        stats, heartbeats = await self._stats(), await self._registry.read()
        workers = max(1, sum(heartbeat.ready for heartbeat in heartbeats))
        return Overloaded(retry_after_s=max(1, math.ceil(stats.backlog_ms / workers / 1000)))

    @reports_outages
    async def claim(
        self,
        worker_id: str,
        wait_s: float,
        stopping: asyncio.Event | None = None,
        capabilities: Capabilities | None = None,
    ) -> Claim | None:
        """Lease the job that must start first, of those that need what is offered, waiting up to
        `wait_s` for one, and no longer once `stopping` is set."""
        return await self._leasing.claim(worker_id, wait_s, stopping, capabilities)

    @reports_outages
    async def claim_urgent(
        self, worker_id: str, soon_ms: float, within_ms: float, capabilities: Iterable[str] = ()
    ) -> Claim | None:
        """Lease the job that must start first, of those that need what is offered, at once or not
        at all, if it must start within `soon_ms` and costs at most `within_ms` in its cheapest
        way."""
        return await self._leasing.claim_urgent(worker_id, soon_ms, within_ms, capabilities)

    @reports_outages
    async def report_expected_end(self, claim: Claim, predicted_ms: float) -> None:
        """Say that a run is expected to end `predicted_ms` from now. Changes nothing when the
        lease is no longer ours; need not be waited for."""
        await self._leasing.report_expected_end(claim, predicted_ms)

    @reports_outages
    async def renew(self, claim: Claim, progress: float) -> LeaseState:
        """Prolong the lease and publish the progress, a part from 0 to 1."""
        return await self._leasing.renew(claim, progress)

    @reports_outages
    async def complete(self, claim: Claim, facts: RunFacts, picture: bytes) -> bool:
        """Deliver the result; False, and nothing is stored, when the lease is no longer ours."""
        return await self._leasing.complete(claim, facts, picture)

    @reports_outages
    async def fail(self, claim: Claim, error: AnysrError) -> bool:
        """End the job with an error; False when the lease is no longer ours."""
        return await self._leasing.fail(claim.job.id, claim.token, error)

    @reports_outages
    async def cancel(self, job_id: str) -> JobView:
        """Withdraw a job, and return it as it then is. Raises JobNotFound."""
        await self._scripts.run("cancel", job_id)
        view = await self._records.view(job_id)
        if view.status is JobStatus.CANCELLED:
            await self._blobs.drop_payloads_apart([job_id])
        return view

    @reports_outages
    async def view(self, job_id: str) -> JobView:
        """Return a job as it is. Raises JobNotFound."""
        return await self._records.view(job_id)

    async def wait(self, job_id: str, timeout_s: float) -> JobView:
        """Return the job when it has ended, or as it is after `timeout_s`. Raises JobNotFound.

        Sits out an outage that begins while it waits; ConnectionError if it is not over then.
        """
        return await self._waiting.wait(job_id, timeout_s, self._view)

    async def outcome(self, view: JobView, submitted: float, timeout_s: float) -> Outcome:
        """Return a job with its picture when it has ended, or the job as it is after `timeout_s`.
        Raises JobNotFound. Sits out outages as `wait` does.

        What becomes of a job that `submit` has just accepted is read once, when its end is heard.
        """
        if view.ended:
            return await self._outcome(view.job.id, None)
        return await self._waiting.wait(view.job.id, timeout_s, self._outcome, submitted)

    def watch(self, job_id: str) -> AsyncIterator[JobView]:
        """Yield the job now and at each change, to its end. Raises JobNotFound.

        Changes that come faster than they are taken are seen as one. Sits out outages.
        """
        return self._waiting.watch(job_id, self._view)

    @reports_outages
    async def _view(self, job_id: str, token: int | None) -> JobView:
        del token  # of use only to who wants the picture, too
        return await self._records.view(job_id)

    @reports_outages
    async def _outcome(self, job_id: str, token: int | None) -> Outcome:
        """Read a job, and its picture along with it where its token is known beforehand."""
        if token is None or self._blobs.apart:
            return Outcome(await self._records.view(job_id))
        getting = self._blobs.getting_result(job_id, token)
        view, picture = await self._records.view_and(job_id, getting)
        return Outcome(view, picture if view.token == token else None)

    @reports_outages
    async def result(self, view: JobView) -> bytes:
        """Return the encoded picture of a job as it was seen. Raises JobNotFound when its time is
        over and JobNotFinished, or the error that the job ended with."""
        if view.status is JobStatus.CANCELLED:
            raise JobCancelled
        if view.status is JobStatus.FAILED:
            raise from_code(view.error_code or "", view.error_detail, **view.error_details)
        if view.status is not JobStatus.SUCCEEDED:
            raise JobNotFinished
        picture = await self._blobs.result(view.job.id, view.token)
        if picture is None:
            raise JobNotFound
        return picture

    @reports_outages
    async def count_worker_start(self) -> None:
        """Count one worker process that has come to life."""
        await self._health.count_worker_start()

    @reports_outages
    async def publish_heartbeat(self, heartbeat: WorkerHeartbeat) -> int:
        """Say that a worker lives; forgotten after `pulse_ttl_seconds`. Return how many live."""
        return await self._registry.publish(heartbeat)

    @reports_outages
    async def retire_worker(self, worker_id: str) -> None:
        """Say that a worker has left."""
        await self._registry.retire(worker_id)

    @reports_outages
    async def heartbeats(self) -> list[WorkerHeartbeat]:
        """Return the workers that live, by id."""
        return await self._registry.read()

    @reports_outages
    async def request_reload(self) -> int:
        """Call on all gateways and workers to read their models again; return the call's number."""
        return int(await self._client.incr(self._keys.reloads))

    @reports_outages
    async def reloads(self) -> int:
        """Return the number of the last such call; 0 before the first."""
        return int(await self._client.get(self._keys.reloads) or 0)

    @reports_outages
    async def request_model(self, model: str) -> None:
        """Ask all workers to load a model; one that starts within `ASKED_S` will do so too."""
        async with self._client.pipeline() as pipe:
            pipe.sadd(self._keys.asked, model)
            pipe.expire(self._keys.asked, ASKED_S)
            await pipe.execute()

    @reports_outages
    async def requested_models(self) -> frozenset[str]:
        """Return the models that were asked for of late."""
        names = await self._client.smembers(self._keys.asked)
        return frozenset(n.decode() if isinstance(n, bytes) else n for n in names)

    @reports_outages
    async def stats(self) -> QueueStats:
        """Return depth, age and backlog; takes as long for one job as for thousands."""
        return await self._stats()

    @reports_outages
    async def health(self) -> QueueHealth:
        """Return what the queue counts of itself, and how much memory it has left."""
        return await self._health.read()

    async def _stats(self) -> QueueStats:
        return stats_of(await self._scripts.run("stats"))

    async def close(self) -> None:
        """Close the connections."""
        await self._hub.close()
        await self._client.aclose()
        if self._blob_client is not self._client:
            await self._blob_client.aclose()

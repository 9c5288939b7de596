"""The queue on Redis: earliest latest-start first, leases, fenced results.

Every change is one Lua script on the server's own clock, so a gateway, a worker or Redis itself
(with an append-only file) may die between any two lines here and no accepted job is lost. Lives
on a single Redis, not on a cluster.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError

from jobs.blob_store import BlobStore
from jobs.codec import JOB, RUN_FACTS, CodecError
from jobs.connection import connect, reports_outages
from jobs.errors import (
    AnysrError,
    InternalError,
    JobCancelled,
    JobNotFinished,
    JobNotFound,
    Overloaded,
    from_code,
)
from jobs.event_hub import EventHub
from jobs.job import (
    TERMINAL_STATUSES,
    Claim,
    Job,
    JobStatus,
    JobView,
    LeaseState,
    QueueStats,
    RunFacts,
    WorkerPulse,
)
from jobs.keys import Keys
from jobs.pulse_board import PulseBoard
from jobs.records import Record, claim_of, view_of
from jobs.scripts import Scripts
from jobs.settings import QueueSettings
from jobs.wake_line import WakeLine

REREAD_S = 0.2
"""Pause before a waiter reads a job again that an outage kept it from reading."""


class RedisQueue:
    """`jobs.queue.JobQueue` on one Redis, or two when pictures have their own."""

    def __init__(self, client: Redis, blobs: Redis, settings: QueueSettings) -> None:
        keys = Keys(settings.namespace)
        self._client = client
        self._blob_client = blobs
        self._settings = settings
        self._keys = keys
        self._scripts = Scripts(client, keys, settings.job_ttl_seconds)
        self._blobs = BlobStore(blobs, keys, settings)
        self._pulses = PulseBoard(client, keys, self._scripts, settings.pulse_ttl_seconds)
        self._wake = WakeLine(client, keys.wake)
        self._hub = EventHub(client, keys.events)

    @classmethod
    def connect(cls, url: str, settings: QueueSettings) -> RedisQueue:
        """Return the queue of a Redis URL; it connects at its first use."""
        client = connect(url)
        return cls(client, connect(settings.blob_url) if settings.blob_url else client, settings)

    @reports_outages
    async def submit(self, job: Job, payload: bytes, spent_ms: float = 0.0) -> JobView:
        """Accept a job; one that is already here, by its id, is returned as it is.

        Raises Overloaded (details: retry_after_s) when the queue or Redis's memory is full.
        """
        record = JOB.encode(job)
        if await self._client.zcard(self._keys.pending) >= self._settings.queue_limit:
            raise await self._overloaded()  # before the bytes are sent for nothing
        try:
            await self._blobs.put_payload(job.id, payload)
            answer = await self._submit(job, record, spent_ms)
        except OutOfMemoryError as error:
            await self._blobs.drop_payloads([job.id])
            raise await self._overloaded() from error
        if answer[0] == b"full":
            await self._blobs.drop_payloads([job.id])
            raise await self._overloaded()
        if answer[0] == b"known":
            return await self._view(job.id)
        return JobView(job, JobStatus.QUEUED, float(answer[1]), float(answer[2]))

    async def _submit(self, job: Job, record: bytes, spent_ms: float) -> list[bytes]:
        remaining_ms = job.budget_ms - spent_ms
        limit = self._settings.queue_limit
        answer: list[bytes] = await self._scripts.run(
            "submit", job.id, record, remaining_ms, job.floor_ms, job.on_miss.value, limit
        )
        return answer

    async def _overloaded(self) -> Overloaded:
        """Say when the backlog will be gone, were all of it made in the cheapest way."""
        stats, pulses = await self._stats(), await self._pulses.read()
        workers = max(1, sum(pulse.ready for pulse in pulses))
        return Overloaded(retry_after_s=max(1, math.ceil(stats.backlog_ms / workers / 1000)))

    @reports_outages
    async def claim(self, worker_id: str, wait_s: float) -> Claim | None:
        """Lease the job that must start first, waiting up to `wait_s` for one."""
        clock = asyncio.get_running_loop()
        until = clock.time() + wait_s
        while True:
            claim = await self._claim(worker_id)
            left_s = until - clock.time()
            if claim is not None or left_s <= 0:
                return claim
            await self._wake.wait(left_s)

    async def _claim(self, worker_id: str) -> Claim | None:
        settings = self._settings
        lease_ms = settings.lease_seconds * 1000
        while True:
            ended, row = await self._scripts.run(
                "claim", lease_ms, settings.max_attempts, worker_id
            )
            if ended:
                await self._blobs.drop_payloads(job_id.decode() for job_id in ended)
            if not row:
                return None
            claim = await self._open(row)
            if claim is not None:
                return claim

    async def _open(self, row: list[Any]) -> Claim | None:
        """Fetch a leased job's picture. A job that cannot be run for our fault ends here."""
        job_id, token = row[0].decode(), int(row[1])
        try:
            payload = await self._blobs.payload(job_id)
        except Exception:
            # The picture may be there and only its Redis away: no attempt is counted.
            await self._scripts.run("release", job_id, token)
            raise
        try:
            if payload is None:
                raise CodecError("the uploaded picture is no longer there")
            return claim_of(row, payload)
        except CodecError as error:
            await self._end_failed(job_id, token, InternalError(str(error)))
            return None

    @reports_outages
    async def renew(self, claim: Claim, progress: float) -> LeaseState:
        """Prolong the lease and publish the progress, a part from 0 to 1."""
        done = f"{min(max(progress, 0.0), 1.0):.4g}"
        lease_ms = self._settings.lease_seconds * 1000
        state = await self._scripts.run("renew", claim.job.id, claim.token, done, lease_ms)
        return LeaseState(state.decode())

    @reports_outages
    async def complete(self, claim: Claim, facts: RunFacts, picture: bytes) -> bool:
        """Deliver the result; False, and nothing is stored, when the lease is no longer ours."""
        job_id, token = claim.job.id, claim.token
        fields = {"facts": RUN_FACTS.encode(facts), "progress": "1"}
        await self._blobs.put_result(job_id, token, picture)
        if await self._end(job_id, token, JobStatus.SUCCEEDED, fields):
            return True
        await self._blobs.drop_result(job_id, token)
        return False

    @reports_outages
    async def fail(self, claim: Claim, error: AnysrError) -> bool:
        """End the job with an error; False when the lease is no longer ours."""
        return await self._end_failed(claim.job.id, claim.token, error)

    async def _end_failed(self, job_id: str, token: int, error: AnysrError) -> bool:
        fields = {
            "error_code": error.code,
            "error_detail": error.detail,
            "error_details": json.dumps(error.details),
        }
        return await self._end(job_id, token, JobStatus.FAILED, fields)

    async def _end(
        self, job_id: str, token: int, status: JobStatus, fields: dict[str, str | bytes]
    ) -> bool:
        pairs = [part for pair in fields.items() for part in pair]
        ours = bool(await self._scripts.run("finish", job_id, token, status.value, *pairs))
        if ours:
            await self._blobs.drop_payloads([job_id])
        return ours

    @reports_outages
    async def cancel(self, job_id: str) -> JobView:
        """Withdraw a job, and return it as it then is. Raises JobNotFound."""
        await self._scripts.run("cancel", job_id)
        view = await self._view(job_id)
        if view.status is JobStatus.CANCELLED:
            await self._blobs.drop_payloads([job_id])
        return view

    @reports_outages
    async def view(self, job_id: str) -> JobView:
        """Return a job as it is. Raises JobNotFound."""
        return await self._view(job_id)

    async def _view(self, job_id: str) -> JobView:
        return _view_of(await self._record(job_id))

    async def _record(self, job_id: str) -> Record:
        record: Record = await self._client.hgetall(self._keys.record(job_id))
        if not record:
            raise JobNotFound
        return record

    async def wait(self, job_id: str, timeout_s: float) -> JobView:
        """Return the job when it has ended, or as it is after `timeout_s`. Raises JobNotFound.

        Sits out an outage that begins while it waits; ConnectionError if it is not over then.
        """
        with self._hub.listen(job_id, ends_only=True) as listener:
            view = await self.view(job_id)
            try:
                async with asyncio.timeout(timeout_s):
                    while view.status not in TERMINAL_STATUSES:
                        view = await self._next(job_id, listener.changed)
                    return view
            except TimeoutError:
                return await self.view(job_id)

    async def watch(self, job_id: str) -> AsyncIterator[JobView]:
        """Yield the job now and at each change, to its end. Raises JobNotFound.

        Changes that come faster than they are taken are seen as one. Sits out outages.
        """
        with self._hub.listen(job_id) as listener:
            view = await self.view(job_id)
            yield view
            while view.status not in TERMINAL_STATUSES:
                before, view = view, await self._next(job_id, listener.changed)
                if view != before:
                    yield view

    async def _next(self, job_id: str, changed: asyncio.Event) -> JobView:
        """Read the job again when there is reason to, and until it can be read."""
        await changed.wait()
        changed.clear()
        while True:
            try:
                return await self.view(job_id)
            except ConnectionError:
                await asyncio.sleep(REREAD_S)

    @reports_outages
    async def result(self, job_id: str) -> bytes:
        """Return the encoded picture. Raises JobNotFound and JobNotFinished, or the error
        that the job ended with."""
        record = await self._record(job_id)
        view = _view_of(record)
        if view.status is JobStatus.CANCELLED:
            raise JobCancelled
        if view.status is JobStatus.FAILED:
            raise from_code(view.error_code or "", view.error_detail, **view.error_details)
        if view.status is not JobStatus.SUCCEEDED:
            raise JobNotFinished
        picture = await self._blobs.result(job_id, int(record[b"token"]))
        if picture is None:
            raise JobNotFound
        return picture

    @reports_outages
    async def publish_pulse(self, pulse: WorkerPulse) -> None:
        """Say that a worker lives; forgotten after `pulse_ttl_seconds`."""
        await self._pulses.publish(pulse)

    @reports_outages
    async def retire_pulse(self, worker_id: str) -> None:
        """Say that a worker has left."""
        await self._pulses.retire(worker_id)

    @reports_outages
    async def pulses(self) -> list[WorkerPulse]:
        """Return the workers that live, by id."""
        return await self._pulses.read()

    @reports_outages
    async def stats(self) -> QueueStats:
        """Return depth, age and backlog."""
        return await self._stats()

    async def _stats(self) -> QueueStats:
        queued, running, oldest_ms, backlog_ms = await self._scripts.run("stats")
        return QueueStats(queued, running, float(oldest_ms), float(backlog_ms))

    async def close(self) -> None:
        """Close the connections."""
        await self._hub.close()
        clients: Sequence[Redis] = {id(c): c for c in (self._client, self._blob_client)}.values()
        for client in clients:
            await client.aclose()


def _view_of(record: Record) -> JobView:
    try:
        return view_of(record)
    except CodecError as error:
        raise InternalError(str(error)) from error

"""Leases on Redis: a job is claimed, renewed, and ended under its fencing token."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from redis.exceptions import RedisError

from jobs.blob_store import BlobStore
from jobs.codec import RUN_FACTS, CodecError
from jobs.connection import Command
from jobs.digests import digest_off_loop, is_whole
from jobs.errors import AnysrError, DataLoss
from jobs.job import Claim, JobStatus, LeaseState, RunFacts
from jobs.outages import OUTAGES, reports_outages
from jobs.queue import Capabilities, Completion, Gap, Leases
from jobs.records import claim_of
from jobs.scripts import Argument, Scripts
from jobs.settings import QueueSettings
from jobs.wakeup import WakeupSignal

log = logging.getLogger(__name__)

OTHERS_PAUSE_S = 0.1
"""Pause between attempts while only jobs for other workers wait: no wake-up is sent for those."""

FOREVER_MS = 1e15
"""Stands for no bound: numbers reach Lua as text, and it cannot parse infinity."""
SWEEP_S = 1.0
"""Longest time between two claims of a busy worker: each makes jobs with expired leases wait again.
Between them it looks only whether a job waits that its gap could be for."""
ANY = Gap(math.inf, math.inf)
"""The gap of an idle worker: any job."""

Run = Callable[..., Awaitable[Any]]
"""Runs a step as `Scripts.run`, or returns None if it was stopped before."""


class RedisLeases(Leases):
    """Hands out jobs, and accepts a result only under the job's last token."""

    def __init__(
        self, scripts: Scripts, blobs: BlobStore, wake: WakeupSignal, settings: QueueSettings
    ) -> None:
        self._scripts = scripts
        self._blobs = blobs
        self._wake = wake
        self._lease_ms = settings.lease_seconds * 1000
        self._max_attempts = settings.max_attempts
        self._unserved_ms = settings.unserved_seconds * 1000
        self._none_waited = False
        """Whether the queue was empty when this worker's last job ended: the next claim then waits
        before its first attempt."""
        self._sweep_at = -math.inf
        """When a busy worker claims whatever waits, by the event loop's clock."""

    @reports_outages
    async def claim(
        self,
        worker_id: str,
        wait_s: float,
        stopping: asyncio.Event | None = None,
        capabilities: Capabilities | None = None,
    ) -> Claim | None:
        clock = asyncio.get_running_loop()
        until = clock.time() + wait_s
        waits, self._none_waited = self._none_waited, False
        while True:
            run: Run = self._scripts.run
            if waits:
                run = partial(self._wake.run, until - clock.time(), stopping)
            met = capabilities() if capabilities else ()
            claim, passed = await self._claim(worker_id, met, run=run)
            left_s = until - clock.time()
            if claim is not None or left_s <= 0 or (stopping is not None and stopping.is_set()):
                return claim
            # With jobs for others in the queue the wake-up token is theirs.
            waits = not passed
            if passed and not await _pause(left_s, stopping):
                return None

    @reports_outages
    async def claim_urgent(
        self, worker_id: str, gap: Gap, capabilities: Iterable[str] = ()
    ) -> Claim | None:
        if not await self._may_fit(gap):
            return None
        claim, _ = await self._claim(worker_id, capabilities, gap)
        return claim

    async def _may_fit(self, gap: Gap) -> bool:
        """Return whether a claim for this gap may find a job. Busy workers look 25 times a second;
        a claim each time would take a thousand of them all of the server's time."""
        clock = asyncio.get_running_loop()
        if clock.time() >= self._sweep_at:
            self._sweep_at = clock.time() + SWEEP_S
            return True
        first_ms = await self._scripts.first_start_in_ms()
        if first_ms is None:
            return False
        # Those behind the first one start later still; only short ones go first nevertheless.
        return gap.short_ms > 0 or first_ms <= gap.remaining_ms

    async def _claim(
        self,
        worker_id: str,
        capabilities: Iterable[str],
        gap: Gap = ANY,
        run: Run | None = None,
    ) -> tuple[Claim | None, int]:
        """Return a job, and the number of jobs passed over because other workers must run them.
        The first attempt is sent by `run`."""
        arguments, run = self._bounds(worker_id, tuple(capabilities), gap), run or self._scripts.run
        while True:
            answer = await run("claim", *arguments)
            if answer is None:  # it was stopped before
                return None, 0
            claim, passed = await self._read(answer)
            if claim is not None or passed is not None:
                return claim, passed or 0
            run = self._scripts.run

    def _bounds(
        self, worker_id: str, capabilities: Iterable[str], gap: Gap = ANY, after: str = ""
    ) -> tuple[Argument, ...]:
        """Return the arguments of claim.lua."""
        times = (min(ms, FOREVER_MS) for ms in (gap.remaining_ms, gap.spare_ms, gap.short_ms))
        limits = (self._lease_ms, self._max_attempts, worker_id, self._unserved_ms)
        return (*limits, *times, "1" if gap.small_only else "", after, gap.run, *capabilities)

    async def _read(self, answer: list[Any]) -> tuple[Claim | None, int | None]:
        """Return the job in an answer of claim.lua, and the number of jobs passed over; None where
        a leased job could not be read, so that another one may be claimed."""
        ended, row, passed = answer
        if ended:
            await self._blobs.drop_payloads_apart(job_id.decode() for job_id in ended)
        claim = await self._open(row) if row else None
        return claim, int(passed) if claim is not None or not row else None

    async def _open(self, row: list[Any]) -> Claim | None:
        """Return the claim of a leased job, with its picture fetched unless the script sent it. A
        job whose record or picture is damaged or lost ends here with DataLoss."""
        *record, payload = row
        job_id, token = row[0].decode(), int(row[1])
        try:
            if payload is None:
                payload = await self._payload(job_id, token)
            claim = _claim_of(record, payload)
            if not await is_whole(payload, claim.job.source_digest):
                raise DataLoss.of("source")
        except DataLoss as loss:
            log.warning("job %s: %s", job_id, loss)
            await self._fail(job_id, token, loss)
            return None
        return claim

    async def _payload(self, job_id: str, token: int) -> bytes:
        try:
            payload = await self._blobs.payload(job_id)
        except OUTAGES:
            # The picture may exist and only its store be away: no attempt is counted.
            await self._scripts.run("release", job_id, token)
            raise
        except RedisError as error:
            raise DataLoss.of("source") from error
        if payload is None:
            raise DataLoss.of("source")
        return payload

    @reports_outages
    async def report_expected_end(self, claim: Claim, predicted_ms: float) -> None:
        await self._scripts.run("expected_end", claim.job.id, claim.token, predicted_ms)

    @reports_outages
    async def renew(self, claim: Claim, progress: float) -> LeaseState:
        done = f"{min(max(progress, 0.0), 1.0):.4g}"
        state = await self._scripts.run("renew", claim.job.id, claim.token, done, self._lease_ms)
        return LeaseState(state.decode())

    @reports_outages
    async def report_stopped(self, claim: Claim) -> None:
        await self._scripts.run("report_stopped", claim.job.id, claim.token)

    @reports_outages
    async def complete(self, claim: Claim, facts: RunFacts, picture: bytes) -> bool:
        return (await self._complete(claim, facts, picture)).delivered

    @reports_outages
    async def complete_and_claim(
        self,
        claim: Claim,
        facts: RunFacts,
        picture: bytes,
        worker_id: str,
        capabilities: Iterable[str] = (),
    ) -> Completion:
        following = self._bounds(worker_id, capabilities, after=claim.job.id)
        return await self._complete(claim, facts, picture, following)

    async def _complete(
        self,
        claim: Claim,
        facts: RunFacts,
        picture: bytes,
        following: tuple[Argument, ...] | None = None,
    ) -> Completion:
        """Deliver a result, and claim by the arguments of claim.lua where some are given."""
        job_id, token = claim.job.id, claim.token
        await self._blobs.check_result(picture)
        facts = replace(facts, picture_digest=await digest_off_loop(picture))
        fields = {"facts": RUN_FACTS.encode(facts), "progress": b"1"}
        putting: Command | None = None
        if self._blobs.here is not None:
            putting = self._blobs.here.putting_result(job_id, token, picture)
        else:
            media_type = claim.job.output_format.media_type
            await self._blobs.put_result(job_id, token, picture, media_type)
        end = job_id, token, JobStatus.SUCCEEDED
        completion = await self._end(*end, fields, putting, following)
        if not completion.delivered:
            await self._blobs.drop_results([(job_id, token)])
        return completion

    @reports_outages
    async def fail(self, claim: Claim, error: AnysrError) -> bool:
        return await self._fail(claim.job.id, claim.token, error)

    async def _fail(self, job_id: str, token: int, error: AnysrError) -> bool:
        fields = {
            "error_code": error.code,
            "error_detail": error.detail,
            "error_details": json.dumps(error.details, default=str),
        }
        return (await self._end(job_id, token, JobStatus.FAILED, fields)).delivered

    async def _end(
        self,
        job_id: str,
        token: int,
        status: JobStatus,
        fields: Mapping[str, str | bytes],
        putting: Command | None = None,
        following: tuple[Argument, ...] | None = None,
    ) -> Completion:
        pairs = [part for pair in fields.items() for part in pair]
        result = "" if putting is None else putting[1]
        before = [] if putting is None else [putting]
        finish = job_id, token, status.value, result, *pairs
        claimed: Claim | None = None
        if following is None:
            ended, waiting = await self._scripts.run_after(before, "finish", *finish)
        else:
            (ended, waiting), answer = await self._scripts.run_both(
                before, ("finish", finish), ("claim", following)
            )
            claimed, _ = await self._read(answer)
        delivered = bool(ended == 1)
        self._none_waited = delivered and waiting == 0 and claimed is None
        if delivered:
            await self._blobs.drop_payloads_apart([job_id])
        return Completion(delivered, claimed)


def _claim_of(record: list[Any], payload: bytes) -> Claim:
    """Return the claim in the answer of claim.lua. Raises DataLoss for a damaged record."""
    try:
        return claim_of(record, payload)
    except CodecError as error:
        raise DataLoss.of("record") from error


async def _pause(left_s: float, stopping: asyncio.Event | None) -> bool:
    """Wait for `OTHERS_PAUSE_S`, at most `left_s`; return False as soon as `stopping` is set."""
    stopping = stopping or asyncio.Event()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(min(left_s, OTHERS_PAUSE_S)):
            await stopping.wait()
    return not stopping.is_set()

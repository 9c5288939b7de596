"""Submissions to a divided queue: each job goes to one shard, and is found there by its id."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import replace

from jobs.backlog import QueueStats
from jobs.client_limits import ClientLimits
from jobs.errors import AnysrError, JobNotFound, Overloaded
from jobs.job import Job, JobView, Outcome
from jobs.queue import NoTime, Submissions
from jobs.shards.charges import Charges
from jobs.shards.choice import ShardChoice
from jobs.shards.ids import placed, shard_of
from jobs.shards.shard import Shard
from jobs.shards.together import answers_of, together
from jobs.terms import NO_TERMS, Idempotency, Terms


class ShardedSubmissions(Submissions):
    """Sends a job to the better of two random shards, and to the other one if that has no time.

    A job with an idempotency key goes to the shard that the key names, so that key and job are
    stored in one step there, as in an undivided queue.
    """

    def __init__(self, shards: Sequence[Shard], choice: ShardChoice, charges: Charges) -> None:
        self._shards = shards
        self._choice = choice
        self._charges = charges

    async def submit(
        self,
        job: Job,
        payload: bytes,
        spent_ms: float = 0.0,
        workers: int = 0,
        limits: ClientLimits | None = None,
        terms: Terms = NO_TERMS,
    ) -> JobView:
        began, numbers = time.monotonic(), self.places(job, terms)
        for number in numbers:
            known = job if terms.fixed_id else replace(job, id=placed(job.id, number))
            spent = spent_ms + (time.monotonic() - began) * 1e3
            try:
                return await self._submit(number, known, payload, spent, workers, limits, terms)
            except (NoTime, Overloaded):
                if number == numbers[-1]:
                    raise
        raise AssertionError("there is no queue without a shard")

    def places(self, job: Job, terms: Terms) -> list[int]:
        """Return the shards that a job may go to, in the order in which they are asked."""
        if terms.idempotency is not None:
            return [shard_of(terms.idempotency.digest, len(self._shards))]
        if terms.fixed_id:
            return [shard_of(job.id, len(self._shards))]
        return self._choice.order(job.requirement)

    async def _submit(
        self,
        number: int,
        job: Job,
        payload: bytes,
        spent_ms: float,
        workers: int,
        limits: ClientLimits | None,
        terms: Terms,
    ) -> JobView:
        """Submit a job to one shard. It is counted for its client before, and that is taken back if
        it is not accepted; not in an outage, in which nobody knows."""
        own = self._choice.workers_for(number, job.requirement, workers)
        given = job, payload, spent_ms, own, None, terms
        submissions = self._shards[number].submissions
        if limits is None or (limits.pixels_per_day is None and limits.jobs_waiting is None):
            return await submissions.submit(*given)
        if (earlier := await self._known(job, terms)) is not None:
            return earlier
        await self._charges.charge(job, limits)
        try:
            view = await submissions.submit(*given)
        except (NoTime, AnysrError):
            await self._charges.refund(job, limits)
            raise
        if view.job.id != job.id:  # it has the key of an earlier one
            await self._charges.refund(job, limits)
        return view

    async def _known(self, job: Job, terms: Terms) -> JobView | None:
        """Return the job that was submitted before with this id or key, which costs nothing."""
        if terms.idempotency is not None:
            return await self.earlier(terms.idempotency, terms.durable)
        with contextlib.suppress(JobNotFound):
            return await self.view(job.id) if terms.fixed_id else None
        return None

    async def check_durable(self) -> None:
        await asyncio.gather(*(shard.submissions.check_durable() for shard in self._shards))

    async def earlier(self, idempotency: Idempotency, durable: bool = False) -> JobView | None:
        shard = self._shards[shard_of(idempotency.digest, len(self._shards))]
        return await shard.submissions.earlier(idempotency, durable)

    async def cancel(self, job_id: str) -> JobView:
        return await self._of(job_id).cancel(job_id)

    async def view(self, job_id: str) -> JobView:
        return await self._of(job_id).view(job_id)

    async def wait(self, job_id: str, timeout_s: float) -> JobView:
        return await self._of(job_id).wait(job_id, timeout_s)

    async def outcome(
        self,
        view: JobView,
        timeout_s: float,
        with_picture: Callable[[], bool] = lambda: True,
    ) -> Outcome:
        submissions = self._of(view.job.id)
        return await submissions.outcome(view, timeout_s, with_picture)

    async def watch(self, job_id: str) -> AsyncIterator[JobView]:
        async for view in self._of(job_id).watch(job_id):
            yield view

    async def result(self, view: JobView) -> bytes:
        return await self._of(view.job.id).result(view)

    async def result_bytes(self, view: JobView) -> int:
        return await self._of(view.job.id).result_bytes(view)

    async def result_url(self, view: JobView) -> str | None:
        return await self._of(view.job.id).result_url(view)

    async def drop_results(self, views: Iterable[JobView]) -> None:
        of_shard: dict[int, list[JobView]] = {}
        for view in views:
            of_shard.setdefault(shard_of(view.job.id, len(self._shards)), []).append(view)
        await asyncio.gather(
            *(self._shards[n].submissions.drop_results(some) for n, some in of_shard.items())
        )

    async def stats(self, client: str | None = None, share: int = 1) -> QueueStats:
        asked = (shard.submissions.stats(client, share) for shard in self._shards)
        answers = await answers_of(asked)
        for number, stats in answers.items():
            self._choice.saw_stats(number, stats)
        return together(list(answers.values()))

    def _of(self, job_id: str) -> Submissions:
        return self._shards[shard_of(job_id, len(self._shards))].submissions

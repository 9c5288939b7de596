"""In any order of calls by gateways and workers and of expiring leases, the queue behaves like a
dictionary of jobs."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from jobs.backlog import Backlog
from jobs.connection import connect
from jobs.embedded_redis import Binary
from jobs.errors import InternalError, JobNotFound, Overloaded
from jobs.job import Claim, JobStatus, LeaseState, OnMiss, Reason, RunFacts
from jobs.keys import Keys
from jobs.redis_queue import RedisQueue
from jobs.scripts import Scripts
from jobs.settings import QueueSettings
from tests.support.jobs import admitted_job

T = TypeVar("T")
FACTS = RunFacts("anysr-s", 1.0, Reason.WIDEST, 20.0, 21.5)
CANCELLED = JobStatus.CANCELLED
LIMIT = 6
ATTEMPTS = 2
SLOT_MS = 50.0
FAR_MS = 1e7
"""Difference of two budgets: longer than a run of this test takes."""


def narrowest_of(cheapest_ms: float) -> float:
    """A cost of the narrowest network for a given cheapest cost."""
    return 0.5 + 3 * cheapest_ms


@dataclass
class Entry:
    """The state of a job in the model."""

    order: tuple[float, str]
    late: bool
    submitted_ms: float
    start_ms: float
    cheapest_ms: float
    status: JobStatus = JobStatus.QUEUED
    attempt: int = 0
    token: int = 0
    expired: bool = False
    erased: bool = False
    end_ms: float | None = None

    @property
    def slot_ms(self) -> float:
        return self.start_ms // SLOT_MS * SLOT_MS


class QueueMachine(RuleBasedStateMachine):
    """The queue beside its model."""

    url: str
    claims: Bundle[Claim] = Bundle("claims")
    ids: Bundle[str] = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.keys = Keys(f"test-{uuid.uuid4().hex}")
        self.runner = asyncio.Runner()
        self.numbers = itertools.count()
        self.model: dict[str, Entry] = {}
        self.stopping: dict[tuple[str, int], bool] = {}
        """Runs without a lease that their workers have not stopped yet, by id and token; and
        whether their time is over."""
        queue_settings = QueueSettings(
            namespace=self.keys.namespace,
            queue_limit=LIMIT,
            max_attempts=ATTEMPTS,
            lease_seconds=3600,
        )
        self.queue = RedisQueue.connect(self.url, queue_settings)
        self.raw = connect(self.url)

    def do(self, call: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(call)

    def teardown(self) -> None:
        self.do(self.queue.close())
        self.do(self.raw.aclose())
        self.runner.close()

    def having(self, status: JobStatus) -> list[str]:
        return [job_id for job_id, entry in self.model.items() if entry.status is status]

    @rule(
        target=ids,
        budget=st.integers(1, 5),
        late=st.booleans(),
        cheapest_ms=st.sampled_from([0.0, 0.001, 0.1, 10.0, 33.333]),
    )
    def submit(self, budget: int, late: bool, cheapest_ms: float) -> Any:
        number = next(self.numbers)
        job = admitted_job(
            id=f"job-{number}",
            model="anysr-s",
            on_miss=OnMiss.REJECT if late else OnMiss.DEGRADE,
            budget_ms=budget * FAR_MS,
            cheapest_ms=cheapest_ms,
            narrowest_ms=narrowest_of(cheapest_ms),
        )
        spent_ms = 9 * FAR_MS if late else 0.0
        full = len(self.having(JobStatus.QUEUED)) >= LIMIT
        try:
            view = self.do(self.queue.submissions.submit(job, b"picture", spent_ms))
        except Overloaded:
            assert full
            return multiple()
        assert not full
        start_ms = self.do(self._start_ms(job.id))
        assert start_ms == pytest.approx(view.deadline_ms - cheapest_ms, abs=0.01, rel=0)
        order = (start_ms, job.id)
        self.model[job.id] = Entry(order, late, view.submitted_ms, start_ms, cheapest_ms)
        return job.id

    async def _start_ms(self, job_id: str) -> float:
        return float(await self.raw.hget(self.keys.record(job_id), "start_ms") or "nan")

    @rule(target=claims)
    def claim(self) -> Any:
        expected = self._expected_claim()
        claim = self.do(self.queue.leases.claim("w", 0))
        assert (claim.job.id if claim else None) == expected
        if claim is None:
            return multiple()
        entry = self.model[claim.job.id]
        assert claim.token > max(other.token for other in self.model.values())
        entry.status, entry.token, entry.attempt = JobStatus.RUNNING, claim.token, entry.attempt + 1
        assert claim.attempt == entry.attempt
        assert claim.backlog.now_ms == claim.claimed_ms
        self.check(claim.backlog, without=entry)
        entry.end_ms = None
        return claim

    def _expected_claim(self) -> str | None:
        """Requeue expired jobs, drop late ones, and return the id of the first job then."""
        self.stopping = {place: over for place, over in self.stopping.items() if not over}
        for job_id in self.having(JobStatus.RUNNING):
            entry = self.model[job_id]
            if entry.expired:
                lost = entry.attempt >= ATTEMPTS or entry.erased
                entry.status = JobStatus.FAILED if lost else JobStatus.QUEUED
                entry.expired = False
        waiting = sorted(self.having(JobStatus.QUEUED), key=lambda i: self.model[i].order)
        for job_id in waiting:
            if not self.model[job_id].late and not self.model[job_id].erased:
                return job_id
            self.model[job_id].status = JobStatus.FAILED
        return None

    @rule(claim=claims)
    def expire_the_lease(self, claim: Claim) -> None:
        self.do(self._zadd(claim.job.id))
        entry = self.model[claim.job.id]
        entry.expired = entry.status is JobStatus.RUNNING

    async def _zadd(self, job_id: str) -> None:
        await self.raw.zadd(self.keys.leases, {job_id: 0.0}, xx=True)

    def holds(self, claim: Claim) -> bool:
        entry = self.model[claim.job.id]
        runs = entry.status is JobStatus.RUNNING and not entry.erased
        return runs and entry.token == claim.token

    @rule(claim=claims, predicted_ms=st.floats(0, 1e6))
    def report_expected_end(self, claim: Claim, predicted_ms: float) -> None:
        before = self.do(self._now_ms())
        self.do(self.queue.leases.report_expected_end(claim, predicted_ms))
        if self.holds(claim):
            end_ms = self.do(self._end_ms(claim.job.id))
            assert before - 0.01 <= end_ms - predicted_ms <= self.do(self._now_ms()) + 0.01
            self.model[claim.job.id].end_ms = end_ms

    async def _end_ms(self, job_id: str) -> float:
        return await self.raw.zscore(self.keys.ends, job_id) or 0.0

    async def _now_ms(self) -> float:
        seconds, microseconds = await self.raw.time()
        return seconds * 1e3 + microseconds / 1e3

    @rule(claim=consumes(claims))
    def release(self, claim: Claim) -> None:
        """Release a job, as a worker does that cannot reach the pictures."""
        self.do(self._release(claim))
        if self.holds(claim):
            entry = self.model[claim.job.id]
            entry.status, entry.attempt, entry.expired = JobStatus.QUEUED, entry.attempt - 1, False

    async def _release(self, claim: Claim) -> None:
        await Scripts(self.raw, self.keys, 60, pictures_here=True).run(
            "release", claim.job.id, claim.token
        )

    @rule(job_id=ids)
    def lose_the_record(self, job_id: str) -> None:
        self.do(self._delete(self.keys.record(job_id)))
        self.model[job_id].erased = True

    async def _delete(self, name: str) -> None:
        await self.raw.delete(name)

    @rule(claim=claims, progress=st.floats(0, 1))
    def renew(self, claim: Claim, progress: float) -> None:
        state = self.do(self.queue.leases.renew(claim, progress))
        entry = self.model[claim.job.id]
        if self.holds(claim):
            entry.expired = False
            assert state is LeaseState.HELD
        elif (entry.status, entry.token, entry.erased) == (CANCELLED, claim.token, False):
            assert state is LeaseState.CANCELLED
        else:
            assert state is LeaseState.LOST
        if state is not LeaseState.HELD:
            self.stopping[claim.job.id, claim.token] = False

    @rule(claim=consumes(claims))
    def report_stopped(self, claim: Claim) -> None:
        self.do(self.queue.leases.report_stopped(claim))
        self.stopping.pop((claim.job.id, claim.token), None)

    @rule(claim=consumes(claims), well=st.booleans())
    def deliver(self, claim: Claim, well: bool) -> None:
        holds = self.holds(claim)
        if well:
            assert self.do(self.queue.leases.complete(claim, FACTS, b"result")) == holds
        else:
            assert self.do(self.queue.leases.fail(claim, InternalError())) == holds
        if holds:
            status = JobStatus.SUCCEEDED if well else JobStatus.FAILED
            self.model[claim.job.id].status = status

    @rule(job_id=ids)
    def cancel(self, job_id: str) -> None:
        entry = self.model[job_id]
        if entry.erased:
            with pytest.raises(JobNotFound):
                self.do(self.queue.submissions.cancel(job_id))
            return
        if entry.status is JobStatus.RUNNING:
            self.stopping[job_id, entry.token] = entry.expired
        if entry.status in (JobStatus.QUEUED, JobStatus.RUNNING):
            entry.status = JobStatus.CANCELLED
        assert self.do(self.queue.submissions.cancel(job_id)).status is entry.status

    @invariant()
    def all_jobs_are_as_in_the_model(self) -> None:
        for job_id, entry in self.model.items():
            if not entry.erased:
                view = self.do(self.queue.submissions.view(job_id))
                assert (view.status, view.attempt) == (entry.status, entry.attempt)
        stats = self.do(self.queue.submissions.stats())
        assert stats.queued == len(self.having(JobStatus.QUEUED))
        assert stats.running == len(self.having(JobStatus.RUNNING)) + len(self.stopping)
        self.check(stats.backlog)
        queued = [self.model[job_id] for job_id in self.having(JobStatus.QUEUED)]
        assert stats.backlog_ms == pytest.approx(sum(entry.cheapest_ms for entry in queued))
        oldest_ms = min((entry.submitted_ms for entry in queued), default=stats.backlog.now_ms)
        assert stats.oldest_age_ms == pytest.approx(stats.backlog.now_ms - oldest_ms, abs=0.01)
        self.do(self._nothing_else_is_kept(queued))

    async def _nothing_else_is_kept(self, queued: list[Entry]) -> None:
        slots = len({entry.slot_ms for entry in queued})
        assert await self.raw.hlen(self.keys.entries) == len(queued)
        assert await self.raw.zcard(self.keys.ages) == len(queued)
        assert await self.raw.zcard(self.keys.slots) == slots
        assert await self.raw.hlen(self.keys.sums) == (3 * slots + 2 if queued else 0)
        assert await self.raw.zcard(self.keys.ends) == await self.raw.zcard(self.keys.leases)

    def check(self, backlog: Backlog, without: Entry | None = None) -> None:
        """Compare a backlog with the sums over the jobs of the model."""
        waiting: dict[float, float] = {}
        narrowest_waiting: dict[float, float] = {}
        for job_id in self.having(JobStatus.QUEUED):
            entry = self.model[job_id]
            slot = entry.slot_ms
            waiting[slot] = waiting.get(slot, 0.0) + entry.cheapest_ms
            narrowest_ms = narrowest_of(entry.cheapest_ms)
            narrowest_waiting[slot] = narrowest_waiting.get(slot, 0.0) + narrowest_ms
        assert [slot for slot, *_ in backlog.waiting] == sorted(waiting)
        assert {slot: cost for slot, cost, *_ in backlog.waiting} == pytest.approx(waiting)
        narrowest = {slot: cost for slot, _, cost, *_ in backlog.waiting}
        assert narrowest == pytest.approx(narrowest_waiting)
        runs = [self.model[job_id] for job_id in self.having(JobStatus.RUNNING)]
        ends = [
            backlog.now_ms + run.cheapest_ms if run.end_ms is None else run.end_ms
            for run in runs
            if run is not without
        ]
        others = list(backlog.running)
        for end in ends:
            nearest = min(others, key=lambda other: abs(other - end))
            assert nearest == pytest.approx(end, abs=0.01, rel=0)
            others.remove(nearest)
        assert len(others) == len(self.stopping)


@pytest.mark.parametrize("redis_url", list(Binary), indirect=True)
def test_queue_behaves_like_its_model(redis_url: str) -> None:
    QueueMachine.url = redis_url
    run_state_machine_as_test(
        QueueMachine,
        settings=settings(
            max_examples=25,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

"""Whatever gateways, workers and the passing of time do in whatever order, the queue does what
a dictionary of jobs would do."""

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

from jobs.connection import connect
from jobs.embedded_redis import Binary
from jobs.errors import InternalError, Overloaded
from jobs.job import Claim, ImageFormat, Job, JobStatus, LeaseState, OnMiss, Reason, RunFacts
from jobs.keys import Keys
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings

T = TypeVar("T")
FACTS = RunFacts("anysr-s", 1.0, Reason.WIDEST, 20.0, 21.5)
LIMIT = 4
ATTEMPTS = 2
FAR_MS = 1e7
"""Between two budgets that differ: more than a run of this test takes."""


@dataclass
class Entry:
    """What the model knows of a job."""

    order: tuple[float, int]
    late: bool
    status: JobStatus = JobStatus.QUEUED
    attempt: int = 0
    token: int = 0
    expired: bool = False


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

    @rule(target=ids, budget=st.integers(1, 5), late=st.booleans())
    def submit(self, budget: int, late: bool) -> Any:
        number = next(self.numbers)
        job = Job(
            id=f"job-{number}",
            source_width=4,
            source_height=4,
            output_width=8,
            output_height=8,
            output_format=ImageFormat.PNG,
            quality=None,
            model="anysr-s",
            pinned_width=None,
            on_miss=OnMiss.REJECT if late else OnMiss.DEGRADE,
            budget_ms=budget * FAR_MS,
            floor_ms=10.0,
        )
        spent_ms = 9 * FAR_MS if late else 0.0
        full = len(self.having(JobStatus.QUEUED)) >= LIMIT
        try:
            self.do(self.queue.submit(job, b"picture", spent_ms))
        except Overloaded:
            assert full
            return multiple()
        assert not full
        self.model[job.id] = Entry((job.budget_ms - spent_ms, number), late)
        return job.id

    @rule(target=claims)
    def claim(self) -> Any:
        expected = self._expected_claim()
        claim = self.do(self.queue.claim("w", 0))
        assert (claim.job.id if claim else None) == expected
        if claim is None:
            return multiple()
        entry = self.model[claim.job.id]
        assert claim.token > max(other.token for other in self.model.values())
        entry.status, entry.token, entry.attempt = JobStatus.RUNNING, claim.token, entry.attempt + 1
        assert claim.attempt == entry.attempt
        return claim

    def _expected_claim(self) -> str | None:
        """Put back what expired, drop what is too late, and return what is first then."""
        for job_id in self.having(JobStatus.RUNNING):
            entry = self.model[job_id]
            if entry.expired:
                lost = entry.attempt >= ATTEMPTS
                entry.status = JobStatus.FAILED if lost else JobStatus.QUEUED
                entry.expired = False
        waiting = sorted(self.having(JobStatus.QUEUED), key=lambda i: self.model[i].order)
        for job_id in waiting:
            if not self.model[job_id].late:
                return job_id
            self.model[job_id].status = JobStatus.FAILED
        return None

    @rule(claim=claims)
    def let_the_lease_run_out(self, claim: Claim) -> None:
        self.do(self._zadd(claim.job.id))
        entry = self.model[claim.job.id]
        entry.expired = entry.status is JobStatus.RUNNING

    async def _zadd(self, job_id: str) -> None:
        await self.raw.zadd(self.keys.leases, {job_id: 0.0}, xx=True)

    def holds(self, claim: Claim) -> bool:
        entry = self.model[claim.job.id]
        return entry.status is JobStatus.RUNNING and entry.token == claim.token

    @rule(claim=claims, progress=st.floats(0, 1))
    def renew(self, claim: Claim, progress: float) -> None:
        state = self.do(self.queue.renew(claim, progress))
        entry = self.model[claim.job.id]
        if self.holds(claim):
            entry.expired = False
            assert state is LeaseState.HELD
        elif entry.status is JobStatus.CANCELLED and entry.token == claim.token:
            assert state is LeaseState.CANCELLED
        else:
            assert state is LeaseState.LOST

    @rule(claim=consumes(claims), well=st.booleans())
    def deliver(self, claim: Claim, well: bool) -> None:
        holds = self.holds(claim)
        if well:
            assert self.do(self.queue.complete(claim, FACTS, b"result")) == holds
        else:
            assert self.do(self.queue.fail(claim, InternalError())) == holds
        if holds:
            status = JobStatus.SUCCEEDED if well else JobStatus.FAILED
            self.model[claim.job.id].status = status

    @rule(job_id=ids)
    def cancel(self, job_id: str) -> None:
        entry = self.model[job_id]
        if entry.status in (JobStatus.QUEUED, JobStatus.RUNNING):
            entry.status = JobStatus.CANCELLED
        assert self.do(self.queue.cancel(job_id)).status is entry.status

    @invariant()
    def all_jobs_are_where_the_model_has_them(self) -> None:
        for job_id, entry in self.model.items():
            view = self.do(self.queue.view(job_id))
            assert (view.status, view.attempt) == (entry.status, entry.attempt)
        stats = self.do(self.queue.stats())
        assert stats.queued == len(self.having(JobStatus.QUEUED))
        assert stats.running == len(self.having(JobStatus.RUNNING))


@pytest.mark.parametrize("redis_url", list(Binary), indirect=True)
def test_the_queue_does_what_its_model_does(redis_url: str) -> None:
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

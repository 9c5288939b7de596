"""Jobs that go on, at a gateway whose worker waits: cancel, progress, deadlines."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from anysr_client import AsyncClient, Client, Conflict, DeadlineExceeded, Infeasible
from jobs.errors import QualityInfeasible
from tests.clients.conftest import QUICK
from tests.service.harness import RunningGateway, ScriptedWorker, Start, drawn
from tests.support.waiting import eventually


@pytest.fixture
async def gateway(start: Start, worker: ScriptedWorker) -> AsyncIterator[RunningGateway]:
    """A gateway whose worker holds each job until `worker.go` is set."""
    worker.go.clear()
    async with start() as served:
        yield served


@pytest.fixture
async def client(gateway: RunningGateway) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(str(gateway.client.base_url), retries=QUICK) as client:
        yield client


async def test_a_job_is_cancelled(client: AsyncClient, worker: ScriptedWorker) -> None:
    job = await client.submit(drawn(), scale=2)
    await worker.claimed.wait()
    assert (await job.cancel()).status == "cancelled"
    ended = await job.wait()
    assert (ended.status, ended.ended) == ("cancelled", True)
    assert isinstance(ended.failure, Conflict)
    with pytest.raises(Conflict) as caught:
        await job.result()
    assert caught.value.code == ended.failure.code == "job_cancelled"


async def test_progress_is_shown_as_it_is_made(client: AsyncClient, worker: ScriptedWorker) -> None:
    job = await client.submit(drawn(), scale=2)
    shown = []
    async for state in job.events():
        shown.append(state)
        if state.progress >= 0.5:
            worker.go.set()
    assert [state.progress for state in shown] == sorted({state.progress for state in shown})
    assert shown[-1].status == "succeeded"
    assert job.last == shown[-1]


async def test_a_result_waits_for_a_job_that_runs(
    client: AsyncClient, worker: ScriptedWorker
) -> None:
    job = await client.submit(drawn(), scale=2)
    result = asyncio.create_task(job.result())
    await worker.claimed.wait()
    worker.go.set()
    assert (await result).job_id == job.id


async def test_the_error_of_a_job_has_its_family(
    client: AsyncClient, worker: ScriptedWorker
) -> None:
    worker.failure = QualityInfeasible(largest_feasible_db=31.4)
    worker.go.set()
    job = await client.submit(drawn(), scale=2)
    ended = await job.wait()
    assert isinstance(ended.failure, Infeasible)
    with pytest.raises(Infeasible) as caught:
        await job.result()
    assert caught.value.members["largest_feasible_db"] == 31.4


@pytest.mark.parametrize("call", ["wait", "result"])
async def test_a_deadline_ends_the_waiting_and_not_the_job(
    client: AsyncClient, worker: ScriptedWorker, call: str
) -> None:
    job = await client.submit(drawn(), scale=2)
    with pytest.raises(DeadlineExceeded):
        await getattr(job, call)(deadline=0.2)
    assert not (await job.state()).ended
    worker.go.set()
    assert (await job.wait()).status == "succeeded"


async def test_a_deadline_ends_a_blocking_wait(
    gateway: RunningGateway, worker: ScriptedWorker
) -> None:
    def waited() -> None:
        with Client(str(gateway.client.base_url)) as client:
            client.submit(drawn(), scale=2).wait(deadline=0.2)

    with pytest.raises(DeadlineExceeded):
        await asyncio.to_thread(waited)
    assert not worker.go.is_set()


async def test_a_deadline_ends_an_upscaling_and_its_job(
    client: AsyncClient, worker: ScriptedWorker
) -> None:
    await client.models()
    with pytest.raises(DeadlineExceeded):
        await client.upscale(drawn(), scale=2, deadline=0.5)
    await worker.cancelled.wait()


async def test_a_batch_that_is_left_cancels_its_jobs(
    client: AsyncClient, gateway: RunningGateway, worker: ScriptedWorker
) -> None:
    batch = client.batch([drawn()] * 5, scale=2, concurrency=3, budget=100)
    first = asyncio.create_task(anext(batch))

    async def three_are_there() -> bool:
        stats = await gateway.stats()
        return stats.queued + stats.running == 3

    await eventually(three_are_there, "three of five pictures are sent")
    first.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await first

    async def none_waits() -> bool:
        return (await gateway.stats()).queued == 0

    await worker.cancelled.wait()
    await eventually(none_waits, "their jobs are cancelled")
    assert len(worker.claims) == 1

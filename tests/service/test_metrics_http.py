"""Metrics of budgets and of the queue; trace ids in exemplars and log lines."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.errors import CorruptImage, InternalError
from jobs.job import Job, JobStatus
from jobs.queue import JobQueue
from jobs.redis_queue import RedisQueue
from service.metrics import QUEUE_COUNTS
from telemetry.trace_context import TraceContext, trace_id_of
from tests.service.harness import RunningGateway, ScriptedWorker, Start, drawn
from tests.service.test_status_http import freshly_stale, lines_of, metrics_of
from tests.support.s3 import buckets_file
from tests.support.waiting import eventually

CALLER = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", True)
TRACED = {"traceparent": CALLER.traceparent, "Content-Type": "image/png"}
OPENMETRICS = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}


async def budgets(served: RunningGateway) -> tuple[float, float]:
    samples = await metrics_of(served)
    outcomes = ("met", "missed")
    met, missed = (samples["anysr_budgets_total", outcome] for outcome in outcomes)
    return met, missed


async def test_budget_counters_exist_from_the_start(start: Start) -> None:
    async with start() as served:
        assert await budgets(served) == (0, 0)


async def test_problems_are_counted_by_their_code(served: RunningGateway) -> None:
    assert (await served.upscale(b"no picture")).status_code == 415
    assert (await served.client.get("/no/such/path")).status_code == 404
    samples = await metrics_of(served)
    counted = {key[1]: n for key, n in samples.items() if key[0] == "anysr_http_problems_total"}
    assert counted == {"unsupported_image": 1}


async def test_failures_of_a_bucket_are_counted_by_operation(
    start: Start, worker: ScriptedWorker, tmp_path: Path
) -> None:
    assert worker.go.is_set()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    store = {"endpoint": f"http://127.0.0.1:{port}", "write": True}
    store |= {"access_key_id": "nobody", "secret_access_key": "nothing"}

    async def failures(served: RunningGateway) -> tuple[float, float]:
        samples = await metrics_of(served)
        read, write = (samples["anysr_bucket_failures_total", one] for one in ("read", "write"))
        return read, write

    async with start(buckets=buckets_file(tmp_path, closed=store)) as served:
        assert await failures(served) == (0, 0)
        named: dict[str, str | int] = {"scale": 2, "image_url": "s3://closed/a.png"}
        assert (await served.client.post("/upscale", params=named)).status_code == 424
        assert (await failures(served))[0] == 1
        params: dict[str, str | int] = {"scale": 2, "result": "s3://closed/b.png"}
        assert (await served.client.post("/jobs", params=params, content=drawn())).is_success

        async def written() -> bool:
            return (await failures(served))[1] >= 1

        await eventually(written, "a failed attempt to write")


async def test_a_picture_in_time_has_met_its_budget_and_a_late_one_missed_it(
    served: RunningGateway, worker: ScriptedWorker
) -> None:
    assert (await served.upscale()).headers["x-anysr-deadline"] == "met"
    assert await budgets(served) == (1, 0)
    worker.go.clear()
    view = await served.submit(scale=2, latency_budget_ms=300)
    while (await served.gateway.queue.submissions.view(view["id"])).status is not JobStatus.RUNNING:
        await worker.claimed.wait()
    await _until_late(served.gateway.queue, view["id"])
    worker.go.set()
    await _counted(served, 2)
    assert await budgets(served) == (1, 1)


async def _until_late(queue: JobQueue, job_id: str) -> None:
    """Wait for the queue's own clock to pass the deadline."""
    deadline_ms = (await queue.submissions.view(job_id)).deadline_ms
    while True:
        backlog = (await queue.submissions.stats()).backlog
        if backlog is not None and backlog.now_ms > deadline_ms:
            return


async def _counted(served: RunningGateway, jobs: int) -> None:
    """Wait until this many ended jobs have been counted."""
    while True:
        samples = await metrics_of(served)
        if sum(value for key, value in samples.items() if key[0] == "anysr_jobs_total") >= jobs:
            return


@pytest.mark.parametrize(
    ("failure", "missed"), [(InternalError(), 1), (CorruptImage(), 0)], ids=["ours", "the caller's"]
)
async def test_a_job_that_failed_through_the_services_fault_missed_its_budget(
    served: RunningGateway, worker: ScriptedWorker, failure: Exception, missed: int
) -> None:
    worker.failure = failure  # type: ignore[assignment]
    assert not (await served.upscale()).is_success
    assert await budgets(served) == (0, missed)


async def test_a_refused_request_counts_no_budget(served: RunningGateway) -> None:
    assert (await served.upscale(scale=2, latency_budget_ms=1)).status_code == 422
    assert await budgets(served) == (0, 0)


async def test_queue_counters_and_memory_are_absent_while_unknown(
    start: Start, queue: RedisQueue
) -> None:
    for _ in range(3):
        await queue.registry.count_worker_start()
    await queue.registry.count_stuck_worker()
    async with start(snapshot_seconds=60, snapshot_stale_seconds=60.001) as served:
        samples = await metrics_of(served)
        assert samples["anysr_worker_starts_total",] == 3
        assert samples["anysr_stuck_workers_total",] == 1
        assert samples["anysr_redeliveries_total",] == samples["anysr_dead_letters_total",] == 0
        assert samples["anysr_queue_overdue_seconds",] == 0
        used = samples["anysr_redis_memory_used_bytes", "queue"]
        assert 0 < used < samples["anysr_redis_memory_limit_bytes", "queue"]
        with freshly_stale(served):
            names = {key[0] for key in await metrics_of(served)}
        gone = {f"{name}_total" for name in QUEUE_COUNTS} | {"anysr_redis_memory_used_bytes"}
        assert not gone & names


async def test_two_gateways_show_the_same_queue(
    start: Start, queue: RedisQueue, make_job: Callable[..., Job]
) -> None:
    await queue.submissions.submit(make_job(), b"")
    async with start() as one, start() as two:
        for served in (one, two):
            assert (await metrics_of(served))["anysr_queue_depth",] == 1


async def test_latencies_have_trace_ids_as_exemplars_in_openmetrics(
    served: RunningGateway,
) -> None:
    answer = await served.client.post("/upscale?scale=2", content=drawn(), headers=TRACED)
    assert answer.is_success
    response = await served.client.get("/metrics", headers=OPENMETRICS)
    assert response.headers["content-type"].startswith(
        "application/openmetrics-text; version=1.0.0"
    )
    exemplar = f'# {{trace_id="{CALLER.trace_id}"}} '
    traced = [line for line in response.text.splitlines() if exemplar in line]
    for name in ("http_request_duration", "job_duration", "deadline_slack"):
        assert any(line.startswith(f"anysr_{name}_seconds_bucket{{") for line in traced), name
    assert response.text.endswith("# EOF\n")
    plain = await served.client.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain")
    assert CALLER.trace_id not in plain.text


async def test_the_callers_trace_goes_with_the_job_and_into_the_log(
    served: RunningGateway, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="anysr.requests"):
        answer = await served.client.post("/upscale?scale=2", content=drawn(), headers=TRACED)
    view = await served.gateway.queue.submissions.view(answer.headers["x-request-id"])
    assert trace_id_of(view.job.traceparent) == CALLER.trace_id
    [line] = lines_of(caplog)
    assert line["trace_id"] == CALLER.trace_id


@pytest.mark.parametrize("header", ["rubbish", f"00-{'0' * 32}-{'0' * 16}-01", ""])
async def test_a_malformed_traceparent_is_replaced(served: RunningGateway, header: str) -> None:
    headers = {**TRACED, "traceparent": header}
    answer = await served.client.post("/upscale?scale=2", content=drawn(), headers=headers)
    view = await served.gateway.queue.submissions.view(answer.headers["x-request-id"])
    assert len(trace_id_of(view.job.traceparent) or "") == 32


async def test_the_end_of_a_job_without_a_waiting_request_is_logged(
    served: RunningGateway, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        job = (await served.client.post("/jobs?scale=2", content=drawn(), headers=TRACED)).json()
        await _counted(served, 1)
    [ended] = lines_of(caplog, "service.dispatcher")
    assert (ended["request_id"], ended["trace_id"]) == (job["id"], CALLER.trace_id)
    assert (ended["outcome"], ended["reason"], ended["deadline"]) == ("succeeded", "widest", "met")
    assert (ended["model"], ended["width"], ended["budget_ms"]) == ("drawn-s", 1.0, 60_000)
    [asked] = [line for line in lines_of(caplog) if line["status"] == 202]
    assert asked["request_id"] == job["id"]

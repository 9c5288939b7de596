"""Each run writes one log line, with the same reason as in metric and header."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest

from jobs.job import Job, JobStatus
from jobs.redis_queue import RedisQueue
from telemetry.logs import json_lines
from telemetry.trace_context import TraceContext
from tests.workers.workbench import Failing, Gated, a_job, a_worker, models_of, photograph
from workers.runtimes.base import Session

TRACE = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", True)


async def run(
    queue: RedisQueue,
    caplog: pytest.LogCaptureFixture,
    session: Session,
    picture: bytes,
    registry: CollectorRegistry | None = None,
) -> dict[str, Any]:
    """Let a worker run one job, and return the line that it wrote."""
    job: Job = a_job(traceparent=TRACE.traceparent)
    with caplog.at_level(logging.INFO, logger="anysr.workers.runs"):
        async with a_worker(queue, models_of(session), registry=registry):
            await queue.submissions.submit(job, picture)
            view = await queue.submissions.wait(job.id, 20)
    assert view.status in (JobStatus.SUCCEEDED, JobStatus.FAILED)
    [record] = [r for r in caplog.records if r.name == "anysr.workers.runs"]
    line: dict[str, Any] = json.loads(json_lines().format(record))
    assert (line["request_id"], line["attempt"]) == (job.id, 1)
    assert line["queue_ms"] >= 0
    return line


async def test_a_successful_run_is_logged_with_its_stages(
    queue: RedisQueue, caplog: pytest.LogCaptureFixture
) -> None:
    session, registry = Gated(), CollectorRegistry()
    session.gate.set()
    line = await run(queue, caplog, session, photograph(), registry)
    assert (line["outcome"], line["reason"], line["width"]) == ("succeeded", "widest", 1.0)
    for name in ("predicted_ms", "decode_ms", "network_ms", "encode_ms", "run_ms"):
        assert line[name] > 0
    assert line["run_ms"] >= line["decode_ms"] + line["network_ms"] + line["encode_ms"]
    text = generate_latest(registry).decode()
    assert 'anysr_runs_total{outcome="succeeded",reason="widest"} 1.0' in text
    for stage in ("queue", "decode", "network", "encode"):
        buckets = [row for row in text.splitlines() if "_bucket{le=" in row and f'"{stage}"' in row]
        assert any(f'# {{trace_id="{TRACE.trace_id}"}}' in row for row in buckets), stage


async def test_a_faulty_job_is_logged_with_its_error_code(
    queue: RedisQueue, caplog: pytest.LogCaptureFixture
) -> None:
    line = await run(queue, caplog, Gated(), photograph()[:300])
    assert (line["outcome"], line["reason"]) == ("failed", "corrupt_image")
    assert line["width"] == 1.0, "the decision is logged for a failed run as well"


async def test_a_bug_is_logged_without_its_message(
    queue: RedisQueue, caplog: pytest.LogCaptureFixture
) -> None:
    line = await run(queue, caplog, Failing(RuntimeError("a secret")), photograph())
    assert (line["outcome"], line["reason"]) == ("failed", "internal_error")
    assert "a secret" not in json.dumps(line)

"""Scenes that create the condition of each alert, on a service that can be disturbed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from benchmarks.monitored.service import Monitored
from benchmarks.pictures import draw_endless_jpeg, draw_jpeg

SMALL = draw_jpeg(96, 96)
MIDDLE = draw_jpeg(256, 256)
LARGE = draw_jpeg(480, 480)

SETTINGS = {"ANYSR_LEASE_SECONDS": "10", "ANYSR_PULSE_TTL_SECONDS": "10"}
"""Workers pause for seconds in these scenes, and still count as living."""

SLOW_DECODING = {"ANYSR_DECODE_SECONDS": "60", "ANYSR_MAX_SOURCE_PIXELS": f"{10**10}"}
"""A picture of any number of scans may be decoded until something ends the decoder."""

NOWHERE = "https://nowhere.invalid/hook"
GIVEN_UP_AT_ONCE = {
    "ANYSR_WEBHOOK_SECRETS": "whsec_MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA=",
    "ANYSR_WEBHOOK_RETRY_SECONDS": "1",
}
CLOSED_STORE = {"ANYSR_BUCKETS": str(Path(__file__).parent / "monitored" / "closed_store.toml")}
"""A bucket whose store is at a port where nothing listens."""

CLOSED_BUCKET = {
    "ANYSR_BLOB_URL": "s3://pictures/trial",
    "ANYSR_BLOB_ENDPOINT": "http://127.0.0.1:9",
    "ANYSR_BLOB_ACCESS_KEY_ID": "nobody",
    "ANYSR_BLOB_SECRET_ACCESS_KEY": "nothing",
    "ANYSR_BLOB_MB": "16",
}
"""A small bucket for the pictures, whose store is at the port of the discard protocol. The room of
an upload is taken when its URL is signed."""

QUICK = {"ANYSR_LEASE_SECONDS": "1", "ANYSR_PULSE_TTL_SECONDS": "2"}


@dataclass(frozen=True)
class Scene:
    """Actions on a service of one worker with these settings."""

    act: Callable[[Monitored], None]
    repeated: bool = False
    """Whether to repeat the action until the alert fires."""
    settings: Mapping[str, str] = field(default_factory=lambda: SETTINGS)


def _submit(service: Monitored, picture: bytes = SMALL, **params: str | float) -> str:
    """Submit a job, and return its path."""
    answer = httpx.post(
        f"{service.url}/jobs",
        params={"scale": 2, **params},
        content=picture,
        headers={"Content-Type": "image/jpeg"},
    )
    answer.raise_for_status()
    return f"{service.url}/jobs/{answer.json()['id']}"


def _wait(service: Monitored, job: str, status: str) -> None:
    """Wait until a job has this status, or has ended."""
    ends = {status, "succeeded", "failed"}
    service.until(lambda: httpx.get(job).json()["status"] in ends)


def _miss_budgets(service: Monitored) -> None:
    """Submit jobs while the worker pauses for longer than their budgets."""
    with service.paused_workers():
        jobs = [_submit(service, latency_budget_ms=900) for _ in range(3)]
        time.sleep(1.0)
    for job in jobs:
        _wait(service, job, "succeeded")


def _stop_the_gateway(service: Monitored) -> None:
    service.kill_gateway()


def _lose_all_workers(service: Monitored) -> None:
    service.kill_worker(0)


def _leave_jobs_waiting(service: Monitored) -> None:
    """Kill the only worker while jobs wait."""
    for _ in range(3):
        _submit(service, latency_budget_ms=3000)
    service.kill_worker(0)


def _kill_with_a_job(service: Monitored) -> None:
    """Kill a worker during a job that may have no other attempt, and start the next worker."""
    job = _submit(service, LARGE, scale=4, anysr_width=1, latency_budget_ms=300_000)
    service.until(lambda: httpx.get(job).json()["progress"] > 0)  # an attempt has begun
    service.kill_worker(0)
    service.start_worker(0)


def _crash_the_decoder(service: Monitored) -> None:
    """Kill the decoder of a worker while it decodes."""
    job = _submit(service, draw_endless_jpeg(), latency_budget_ms=60_000)
    _wait(service, job, "running")
    service.kill_decoder(0)
    _wait(service, job, "failed")


def _fill_redis(service: Monitored) -> None:
    """Limit the memory of Redis to little more than it uses."""
    used = "anysr_redis_memory_used_bytes"
    service.until(lambda: _largest(service, used) > 0)
    service.limit_redis(round(_largest(service, used) / 0.95))


def _announce_to_nobody(service: Monitored) -> None:
    """Submit a job whose webhook goes to a host that does not exist."""
    _wait(service, _submit(service, webhook_url=NOWHERE), "succeeded")


def _write_to_a_closed_store(service: Monitored) -> None:
    """Submit jobs whose pictures go to a store that is not there."""
    for number in range(3):
        _wait(service, _submit(service, result=f"s3://closed/{number}.jpg"), "succeeded")


def _announce_uploads(service: Monitored) -> None:
    """Ask for URLs of uploads that take nearly all of the bucket, and write none."""
    for _ in range(2):
        httpx.post(f"{service.url}/uploads", json={"bytes": 7 << 20}).raise_for_status()


def _disturb_runs(service: Monitored) -> None:
    """Pause every other run for longer than several runs take."""
    for paused in (False, True):
        job = _submit(service, MIDDLE, anysr_width=1, latency_budget_ms=60_000)
        if paused:
            _wait(service, job, "running")
            with service.paused_workers():
                time.sleep(3)
        _wait(service, job, "succeeded")


def _restart_the_worker(service: Monitored) -> None:
    """Kill and start the worker, and wait until Prometheus scrapes the new one."""
    started = 'process_start_time_seconds{job="worker"}'
    last = _largest(service, started)
    service.kill_worker(0)
    service.start_worker(0)
    service.until(lambda: _largest(service, started) > last)


def _largest(service: Monitored, expression: str) -> float:
    """Return the largest value of an expression in Prometheus; 0 without any."""
    return max((float(one["value"][1]) for one in service.query(expression)), default=0.0)


SCENES: Mapping[str, Scene] = {
    "AnysrBudgetBurnFast": Scene(_miss_budgets, repeated=True),
    "AnysrBudgetBurnSlow": Scene(_miss_budgets, repeated=True),
    "AnysrGatewayDown": Scene(_stop_the_gateway),
    "AnysrNoLiveWorker": Scene(_lose_all_workers, settings=QUICK),
    "AnysrOldestJobTooOld": Scene(_leave_jobs_waiting),
    "AnysrDeadLetters": Scene(_kill_with_a_job, settings=QUICK | {"ANYSR_MAX_ATTEMPTS": "1"}),
    "AnysrDecoderCrashes": Scene(_crash_the_decoder, settings=SETTINGS | SLOW_DECODING),
    "AnysrRedisMemoryHigh": Scene(_fill_redis),
    "AnysrDeadDeliveries": Scene(_announce_to_nobody, settings=SETTINGS | GIVEN_UP_AT_ONCE),
    "AnysrBucketFails": Scene(
        _write_to_a_closed_store, repeated=True, settings=SETTINGS | CLOSED_STORE
    ),
    "AnysrBucketNearlyFull": Scene(_announce_uploads, settings=SETTINGS | CLOSED_BUCKET),
    "AnysrCostModelDrift": Scene(_disturb_runs, repeated=True),
    "AnysrWorkerRestarts": Scene(_restart_the_worker, repeated=True, settings=QUICK),
}
"""By alert; a test checks that no alert is missing."""

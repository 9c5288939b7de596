"""How the condition of each alert is made real, on a service that can be harmed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httpx

from benchmarks.monitored.service import Monitored
from benchmarks.pictures import draw_jpeg

SMALL = draw_jpeg(96, 96)
MIDDLE = draw_jpeg(256, 256)
LARGE = draw_jpeg(480, 480)

SETTINGS = {"ANYSR_LEASE_SECONDS": "10", "ANYSR_PULSE_TTL_SECONDS": "10"}
"""Workers stand still for seconds here, and count as living all the same."""

QUICK = {"ANYSR_LEASE_SECONDS": "1", "ANYSR_PULSE_TTL_SECONDS": "2"}


@dataclass(frozen=True)
class Scene:
    """What is done to a service of one worker with these settings."""

    act: Callable[[Monitored], None]
    again: bool = False
    """Whether it is done over and over until the alert fires."""
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
    """Wait until a job is in a state, or has ended."""
    ends = {status, "succeeded", "failed"}
    service.until(lambda: httpx.get(job).json()["status"] in ends)


def _miss_budgets(service: Monitored) -> None:
    """Jobs come while the worker stands still for longer than their budgets."""
    with service.standing_still():
        jobs = [_submit(service, latency_budget_ms=900) for _ in range(3)]
        time.sleep(1.0)
    for job in jobs:
        _wait(service, job, "succeeded")


def _stop_the_gateway(service: Monitored) -> None:
    service.kill_gateway()


def _lose_all_workers(service: Monitored) -> None:
    service.kill_worker(0)


def _let_a_job_wait(service: Monitored) -> None:
    """The only worker dies while jobs wait, and none comes."""
    for _ in range(3):
        _submit(service, latency_budget_ms=3000)
    service.kill_worker(0)


def _kill_with_a_job(service: Monitored) -> None:
    """A worker dies with a job which may have no other; the next one finds it so."""
    job = _submit(service, LARGE, scale=4, anysr_width=1, latency_budget_ms=300_000)
    _wait(service, job, "running")
    service.kill_worker(0)
    service.start_worker(0)


def _fill_redis(service: Monitored) -> None:
    """Redis may use little more than it does."""
    used = "anysr_redis_memory_used_bytes"
    service.until(lambda: _largest(service, used) > 0)
    service.limit_redis(round(_largest(service, used) / 0.95))


def _confuse(service: Monitored) -> None:
    """Every other run is held up for as long as several take."""
    for held_up in (False, True):
        job = _submit(service, MIDDLE, anysr_width=1, latency_budget_ms=60_000)
        if held_up:
            _wait(service, job, "running")
            with service.standing_still():
                time.sleep(3)
        _wait(service, job, "succeeded")


def _restart_the_worker(service: Monitored) -> None:
    """It is killed and started, and Prometheus sees the new one."""
    started = 'process_start_time_seconds{job="worker"}'
    last = _largest(service, started)
    service.kill_worker(0)
    service.start_worker(0)
    service.until(lambda: _largest(service, started) > last)


def _largest(service: Monitored, expression: str) -> float:
    """The largest value that Prometheus sees; 0 while it sees none."""
    return max((float(one["value"][1]) for one in service.query(expression)), default=0.0)


SCENES: Mapping[str, Scene] = {
    "AnysrBudgetBurnFast": Scene(_miss_budgets, again=True),
    "AnysrBudgetBurnSlow": Scene(_miss_budgets, again=True),
    "AnysrGatewayDown": Scene(_stop_the_gateway),
    "AnysrNoLiveWorker": Scene(_lose_all_workers, settings=QUICK),
    "AnysrOldestJobTooOld": Scene(_let_a_job_wait),
    "AnysrDeadLetters": Scene(_kill_with_a_job, settings=QUICK | {"ANYSR_MAX_ATTEMPTS": "1"}),
    "AnysrRedisMemoryHigh": Scene(_fill_redis),
    "AnysrCostModelDrift": Scene(_confuse, again=True),
    "AnysrWorkerRestarts": Scene(_restart_the_worker, again=True, settings=QUICK),
}
"""By the alert that each makes fire; a test holds it complete."""

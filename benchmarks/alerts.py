"""Whether alerts mean something: each fires when its condition is made real, and none otherwise.

A real service under a real Prometheus with the deployed rules. To fire, conditions need not hold
as long as they would have to (`HURRY`); the normal load runs under the rules as they are.
"""

from __future__ import annotations

import contextlib
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import redis

from benchmarks.load import draw_jpeg
from benchmarks.monitored import Monitored, monitored

HURRY = 20.0
FIRING_TIMEOUT_S = 180.0
NORMAL_PAUSE_S = 1.0
SMALL = draw_jpeg(96, 96)
MIDDLE = draw_jpeg(256, 256)
LARGE = draw_jpeg(480, 480)

Report = Callable[[str], None]


@dataclass(frozen=True)
class Fired:
    """One alert and how its condition was made real."""

    alert: str
    after_s: float | None
    """From the beginning of the condition; None: it did not fire in time."""


@dataclass(frozen=True)
class Calm:
    """A time of normal load."""

    seconds: float
    requests: int
    pictures: int
    fired: frozenset[str]
    """Alerts that fired meanwhile."""


def make_real(report: Report = lambda line: None) -> list[Fired]:
    """Make the condition of each alert real, one after another, each on a service of its own.

    Raises PrometheusMissing and TimeoutError.
    """
    found = []
    for alert, scene in SCENES.items():
        with tempfile.TemporaryDirectory(prefix="anysr-alerts-") as folder:
            settings = {**SETTINGS, **SPECIAL.get(alert, {})}
            with monitored(Path(folder), settings, every_s=0.5, hurry=HURRY) as service:
                found.append(_watch(service, alert, scene))
        after_s = found[-1].after_s
        report(f"{alert}: " + ("did not fire" if after_s is None else f"fired in {after_s:.0f} s"))
    return found


def _watch(service: Monitored, alert: str, scene: Callable[[Monitored], None]) -> Fired:
    service.until(lambda: alert not in service.firing())  # as it may while the service starts
    since = time.monotonic()
    acting = threading.Thread(target=_act, args=(scene, service), daemon=True)
    acting.start()
    try:
        service.until(lambda: alert in service.firing(), FIRING_TIMEOUT_S)
    except TimeoutError:
        return Fired(alert, None)
    return Fired(alert, time.monotonic() - since)


def _act(scene: Callable[[Monitored], None], service: Monitored) -> None:
    # The service may end before its scene does.
    with contextlib.suppress(httpx.HTTPError, ProcessLookupError, TimeoutError):
        scene(service)


def stay_calm(seconds: float, report: Report = lambda line: None) -> Calm:
    """Send normal load, a picture a second of several kinds, under the rules as they are.

    Raises PrometheusMissing and TimeoutError.
    """
    fired: set[str] = set()
    requests = pictures = 0
    with (
        tempfile.TemporaryDirectory(prefix="anysr-alerts-") as folder,
        monitored(Path(folder), {}, every_s=2.0) as service,
        httpx.Client(base_url=service.url, timeout=60) as client,
    ):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            requests += 1
            pictures += _ask(client, **NORMAL[requests % len(NORMAL)]).is_success
            new = service.firing() - fired
            fired |= new
            for alert in sorted(new):
                report(f"{alert} fired after {requests} requests")
            time.sleep(NORMAL_PAUSE_S)
    return Calm(seconds, requests, pictures, frozenset(fired))


NORMAL: tuple[Mapping[str, str | float], ...] = (
    {"scale": 2},
    {"scale": 3, "latency_budget_ms": 4000},
    {"scale": 2.37, "anysr_width": 0.5},
    {"scale": 4, "latency_budget_ms": 1},  # refused, as it should be
    {"scale": 1.5, "latency_budget_ms": 2000, "on_miss": "reject"},
)


def _ask(client: httpx.Client, **params: str | float) -> httpx.Response:
    headers = {"Content-Type": "image/jpeg"}
    return client.post("/upscale", params=params, content=SMALL, headers=headers)


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


@contextlib.contextmanager
def _standing_still(service: Monitored) -> Iterator[None]:
    """All workers are stopped; for so short a time that they still count as living."""
    for worker in service.workers.values():
        worker.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for worker in service.workers.values():
            worker.send_signal(signal.SIGCONT)


def _miss_budgets(service: Monitored) -> None:
    """Jobs come while the worker stands still for longer than their budgets."""
    while True:
        with _standing_still(service):
            jobs = [_submit(service, latency_budget_ms=900) for _ in range(3)]
            time.sleep(1.0)
        for job in jobs:
            _wait(service, job, "succeeded")


def _stop_the_gateway(service: Monitored) -> None:
    if service.gateway is not None:
        service.gateway.kill()


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
    with redis.Redis.from_url(service.redis_url) as client:
        used = int(client.info("memory")["used_memory"])
        client.config_set("maxmemory", round(used / 0.95))


def _confuse(service: Monitored) -> None:
    """Every other run is held up for as long as several take."""
    worker = service.workers[0]
    while True:
        for held_up in (False, True):
            job = _submit(service, MIDDLE, anysr_width=1, latency_budget_ms=60_000)
            if held_up:
                _wait(service, job, "running")
                worker.send_signal(signal.SIGSTOP)
                time.sleep(3)
                worker.send_signal(signal.SIGCONT)
            _wait(service, job, "succeeded")


def _restart_workers(service: Monitored) -> None:
    metrics = f"http://127.0.0.1:{service.worker_ports[0]}/metrics"
    while True:
        service.kill_worker(0)
        service.start_worker(0)
        service.until(lambda: httpx.get(metrics).is_success)
        time.sleep(2)  # Prometheus must have seen it


SETTINGS = {"ANYSR_LEASE_SECONDS": "10", "ANYSR_PULSE_TTL_SECONDS": "10"}
"""Workers stand still for seconds here, and count as living all the same."""

QUICK = {"ANYSR_LEASE_SECONDS": "1", "ANYSR_PULSE_TTL_SECONDS": "2"}

SPECIAL: Mapping[str, Mapping[str, str]] = {
    "AnysrDeadLetters": QUICK | {"ANYSR_MAX_ATTEMPTS": "1"},
    "AnysrNoLiveWorker": QUICK,
    "AnysrWorkerRestarts": QUICK,
}

SCENES: Mapping[str, Callable[[Monitored], None]] = {
    "AnysrBudgetBurnFast": _miss_budgets,
    "AnysrBudgetBurnSlow": _miss_budgets,
    "AnysrGatewayDown": _stop_the_gateway,
    "AnysrNoLiveWorker": _lose_all_workers,
    "AnysrOldestJobTooOld": _let_a_job_wait,
    "AnysrDeadLetters": _kill_with_a_job,
    "AnysrRedisMemoryHigh": _fill_redis,
    "AnysrCostModelDrift": _confuse,
    "AnysrWorkerRestarts": _restart_workers,
}
"""How the condition of each alert is made real; a test holds it complete."""

"""Cost of a request beside its network: the service against `benchmarks.plain_service`.

Both services run all the time, and get requests in short alternating rounds, so that a slower
machine affects both. CPU time is that of a service's whole process tree: gateway, Redis and
workers, without the client.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import aiohttp
import httpx
import psutil

from benchmarks.local_service import running_process, server_timing
from benchmarks.pictures import draw_jpeg
from benchmarks.ports import free_ports

SIDE = 64
WORKERS = 2
CALLERS = 4
WARMING_S = 3.0
START_S = 30.0
REST_S = 20.0
"""Pause before the memory at rest is read."""
LIKE_PLAIN = {
    "ANYSR_UNLOAD_SECONDS": "6",
    "ANYSR_RUNTIME": "onnx",
    "ANYSR_PRECISION": "float32",
    "ANYSR_WORKER_THREADS": "1",
}
"""Settings that give the workers the engine of the plain service, and an early rest."""
OURS = {"model": "anysr-s", "anysr_width": "1", "latency_budget_ms": "10000"}


@dataclass(frozen=True)
class Round:
    """Figures of one service over one round."""

    pictures_per_s: float
    cpu_ms: float
    """CPU time of all its processes per picture."""
    latency_ms: float
    """Median, by the client's clock."""
    overhead_ms: float
    """Median of the latency minus the network's time."""


@dataclass(frozen=True)
class Price:
    """One service at one number of callers: medians over the rounds."""

    service: str
    callers: int
    figures: Round
    of_plain: Round
    """Medians of the ratios to the neighbouring round of the plain service."""


@dataclass(frozen=True)
class Service:
    """A running service."""

    name: str
    url: str
    process: psutil.Process
    parameters: Mapping[str, str]

    def cpu_s(self) -> float:
        """Return the CPU seconds of its processes so far."""
        return math.fsum(map(_cpu_s, self._tree()))

    def held_mb(self) -> float:
        """Return the memory of its processes in MB. Linux divides pages among those that share
        them; elsewhere they count for each."""
        infos = (process.memory_full_info() for process in self._tree())
        return math.fsum(getattr(info, "pss", info.rss) for info in infos) / 1e6

    def _tree(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


def compare(
    rounds: int, seconds: float, report: Callable[[int], None] = lambda done: None
) -> tuple[list[Price], dict[str, float]]:
    """Return the prices at one caller and at `CALLERS`, and each service's MB at rest."""
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(_plain())
        ours = stack.enter_context(_ours())
        time.sleep(REST_S)
        resting = {service.name: service.held_mb() for service in (plain, ours)}
        prices: list[Price] = []
        done = 0
        for callers in (1, CALLERS):
            pairs = []
            for number in range(rounds + 1):
                length = seconds if number else WARMING_S
                pairs.append([asyncio.run(run_round(s, callers, length)) for s in (plain, ours)])
                done += 1
                report(done)
            prices += _summed_up(callers, pairs[1:])
    return prices, resting


def _summed_up(callers: int, pairs: list[list[Round]]) -> Iterator[Price]:
    for place, name in enumerate(("plain", "ours")):
        figures = _medians([pair[place] for pair in pairs])
        yield Price(name, callers, figures, _medians([_over(p[place], p[0]) for p in pairs]))


def _medians(rounds: list[Round]) -> Round:
    return Round(
        *(
            statistics.median(getattr(one, name) for one in rounds)
            for name in ("pictures_per_s", "cpu_ms", "latency_ms", "overhead_ms")
        )
    )


def _over(one: Round, other: Round) -> Round:
    return Round(
        one.pictures_per_s / other.pictures_per_s,
        one.cpu_ms / other.cpu_ms,
        one.latency_ms / other.latency_ms,
        one.overhead_ms / other.overhead_ms,
    )


async def run_round(service: Service, callers: int, seconds: float, side: int = SIDE) -> Round:
    """Send pictures of `side` pixels a side for so many seconds; each caller waits for an answer
    before its next request."""
    latencies: list[float] = []
    overheads: list[float] = []
    picture = draw_jpeg(side, side)
    async with aiohttp.ClientSession(service.url) as client:
        since, cpu_before = time.perf_counter(), service.cpu_s()

        async def call() -> None:
            while time.perf_counter() - since < seconds:
                start = time.perf_counter()
                async with client.post(
                    "/upscale",
                    params={"scale": "2", **service.parameters},
                    data=picture,
                    headers={"Content-Type": "image/jpeg"},
                ) as answer:
                    answer.raise_for_status()
                    await answer.read()
                    latencies.append((time.perf_counter() - start) * 1e3)
                    network = server_timing(answer.headers["Server-Timing"])["network"]
                    overheads.append(latencies[-1] - network)

        await asyncio.gather(*(call() for _ in range(callers)))
        passed, cpu = time.perf_counter() - since, service.cpu_s() - cpu_before
    return Round(
        len(latencies) / passed,
        1e3 * cpu / len(latencies),
        statistics.median(latencies),
        statistics.median(overheads),
    )


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@contextlib.contextmanager
def _ours() -> Iterator[Service]:
    with running_process(WORKERS, **LIKE_PLAIN) as (url, process):
        yield Service("ours", url, psutil.Process(process.pid), OURS)


@contextlib.contextmanager
def _plain() -> Iterator[Service]:
    (port,) = free_ports(1)
    process = subprocess.Popen([sys.executable, "-P", "-m", "benchmarks.plain_service", str(port)])
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url, process)
        yield Service("plain", url, psutil.Process(process.pid), {})
    finally:
        process.terminate()
        process.wait()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"the plain service ended with status {process.returncode}")
        with contextlib.suppress(httpx.HTTPError):
            httpx.get(url)
            return
        time.sleep(0.1)
    raise TimeoutError(f"the plain service was not ready after {START_S:g} s")

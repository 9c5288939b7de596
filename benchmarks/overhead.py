"""What the service adds to the network: gateway, queue and worker, one small job at a time."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import numpy as np

from benchmarks.pictures import draw_jpeg

START_TIMEOUT_S = 180.0
WARM_UP_REQUESTS = 20
PERCENTILES = (50, 90, 99)

Percentiles = tuple[float, float, float]


def time_overhead(requests: int, url: str | None = None) -> dict[str, Percentiles]:
    """Return ms percentiles of each part of POST /upscale, as the client sees the whole.

    `overhead` is the client's time less the network's, as `Server-Timing` gives it: upload,
    queue, decoding, encoding, HTTP on both sides and the loopback are all in it.
    """
    with contextlib.ExitStack() as stack:
        base = url or stack.enter_context(running_service())
        client = stack.enter_context(httpx.Client(base_url=base, timeout=30))
        samples = [_one(client) for _ in range(WARM_UP_REQUESTS + requests)][WARM_UP_REQUESTS:]
    names = samples[0].keys()
    return {name: _percentiles([sample[name] for sample in samples]) for name in names}


def _one(client: httpx.Client) -> dict[str, float]:
    start = time.perf_counter()
    answer = client.post(
        "/upscale",
        params={"scale": 2, "latency_budget_ms": 10_000},
        content=_JPEG,
        headers={"Content-Type": "image/jpeg"},
    )
    whole = 1e3 * (time.perf_counter() - start)
    answer.raise_for_status()
    stages = server_timing(answer.headers["Server-Timing"])
    network = stages["network"]
    return {"overhead": whole - network, "whole": whole, **stages}


def server_timing(header: str) -> dict[str, float]:
    """Return the durations of a Server-Timing header by name, in ms."""
    return {name: float(ms) for name, ms in re.findall(r"(\w+);dur=([\d.]+)", header)}


@contextlib.contextmanager
def running_service(workers: int = 1, **environment: str) -> Iterator[str]:
    """Run `anysr serve` on a free port until all workers are ready, and yield its URL.

    Raises TimeoutError when it does not become ready.
    """
    with running_process(workers, **environment) as (url, _):
        yield url


@contextlib.contextmanager
def running_process(
    workers: int, **environment: str
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Do as `running_service`, and yield the process, too; without workers, run a gateway."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    part = ["serve", "--workers", str(workers)] if workers else ["gateway"]
    command = [sys.executable, "-P", "-m", "cli.main", *part, "--port", str(port)]
    quiet = {"ANYSR_LOG_LEVEL": "warning", **os.environ, **environment}
    process = subprocess.Popen(command, env=quiet, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_ready(url, process, workers)
        yield url, process
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_ready(url: str, process: subprocess.Popen[bytes], workers: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the service ended with status {process.returncode}")
        with contextlib.suppress(httpx.HTTPError):
            health = httpx.get(f"{url}/health/ready").json()
            if sum(worker["ready"] for worker in health["workers"]) >= workers:
                return
        time.sleep(0.1)
    raise TimeoutError(f"the service was not ready after {START_TIMEOUT_S:g} s")


def _percentiles(values: list[float]) -> Percentiles:
    p50, p90, p99 = np.percentile(values, PERCENTILES)
    return float(p50), float(p90), float(p99)


_JPEG = draw_jpeg(64, 64)

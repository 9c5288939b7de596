"""Time that gateway, queue and worker add to the network, one small job at a time."""

from __future__ import annotations

import contextlib
import time

import httpx
import numpy as np

from benchmarks.local_service import running_service, server_timing
from benchmarks.pictures import draw_jpeg

WARM_UP_REQUESTS = 20
PERCENTILES = (50, 90, 99)

Percentiles = tuple[float, float, float]


def time_overhead(requests: int, url: str | None = None) -> dict[str, Percentiles]:
    """Return percentiles in ms of each part of POST /upscale.

    `whole` is the time of the client. `overhead` is that minus the network's time in
    `Server-Timing`: upload, queue, decoding, encoding, HTTP on both sides, and the loopback.
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
        content=PICTURE,
        headers={"Content-Type": "image/jpeg"},
    )
    whole = 1e3 * (time.perf_counter() - start)
    answer.raise_for_status()
    stages = server_timing(answer.headers["Server-Timing"])
    network = stages["network"]
    return {"overhead": whole - network, "whole": whole, **stages}


def _percentiles(values: list[float]) -> Percentiles:
    p50, p90, p99 = np.percentile(values, PERCENTILES)
    return float(p50), float(p90), float(p99)


PICTURE = draw_jpeg(64, 64)

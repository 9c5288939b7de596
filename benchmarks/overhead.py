"""Time that gateway, queue and worker add to the network, one small job at a time."""

from __future__ import annotations

import contextlib
import time
from http import HTTPStatus

import numpy as np

from benchmarks.bare_client import BareClient, connected
from benchmarks.local_service import running_service, server_timing
from benchmarks.pictures import draw_jpeg

WARM_UP_REQUESTS = 20
PERCENTILES = (50, 90, 99)
TARGET = "/upscale?scale=2&latency_budget_ms=10000"

Percentiles = tuple[float, float, float]


def time_overhead(requests: int, url: str | None = None) -> dict[str, Percentiles]:
    """Return percentiles in ms of each part of POST /upscale.

    `whole` is the time of the client. `overhead` is that minus the network's time in
    `Server-Timing`: upload, queue, decoding, encoding, HTTP on both sides, and the loopback.
    """
    with contextlib.ExitStack() as stack:
        base = url or stack.enter_context(running_service())
        client = stack.enter_context(connected(base))
        samples = [_one(client) for _ in range(WARM_UP_REQUESTS + requests)][WARM_UP_REQUESTS:]
    names = samples[0].keys()
    return {name: _percentiles([sample[name] for sample in samples]) for name in names}


def _one(client: BareClient) -> dict[str, float]:
    start = time.perf_counter()
    answer = client.post(TARGET, PICTURE, {"Content-Type": "image/jpeg"})
    whole = 1e3 * (time.perf_counter() - start)
    if answer.status != HTTPStatus.OK:
        raise RuntimeError(f"answered {answer.status}: {answer.body.decode(errors='replace')}")
    stages = server_timing(answer.headers["server-timing"])
    network = stages["network"]
    return {"overhead": whole - network, "whole": whole, **stages}


def _percentiles(values: list[float]) -> Percentiles:
    p50, p90, p99 = np.percentile(values, PERCENTILES)
    return float(p50), float(p90), float(p99)


PICTURE = draw_jpeg(64, 64)

"""Memory and time over many pictures of different sizes, sent to a service one after another.

Runtimes prepare each new shape, and may keep what they prepared: a service that does grows, or
stalls, with the sizes that its callers send.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import httpx
import numpy as np

from benchmarks.local_service import running_process, server_timing
from benchmarks.pictures import draw_jpeg
from benchmarks.service_processes import WORKER, ServiceProcesses

WARMING = 50
"""Pictures before the memory that later ones are compared with; their times do not count."""
SLOW = 1.5
"""A picture is slow that takes so many times the median for a pixel."""
SEED = 1

Size = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True)
class Times:
    """Times per input pixel from the end of the warming on."""

    median_us: float
    slowest: float
    """The largest as a multiple of the median."""
    slow: tuple[Size, ...]
    """Sizes of the pictures that took more than SLOW times the median."""


@dataclass(frozen=True)
class Figures:
    """What many sizes cost. Memory is the resident memory of the worker, in MB."""

    warm_mb: float
    """After WARMING pictures."""
    halfway_mb: float
    end_mb: float
    whole: Times
    """Of the request, by the client's clock."""
    network: Times
    """Of the network, by `Server-Timing`."""


def measure(
    count: int, smallest: int, largest: int, report: Callable[[int], None] = lambda done: None
) -> Figures:
    """Send pictures of `count` different sizes, with sides from `smallest` to `largest` pixels, to
    a service with one worker; x2, anysr-s at full width, one caller.

    Raises ValueError for more pictures than there are sizes, or for none after the warming.
    """
    sizes, halfway = draw_sizes(count, smallest, largest), (WARMING + count) // 2
    whole, network, held = [], [], {}
    with running_process(1) as (url, process), httpx.Client(base_url=url, timeout=60) as client:
        processes = ServiceProcesses(process.pid)
        for done, size in enumerate(sizes, 1):
            whole_ms, network_ms = _send(client, size)
            whole.append(whole_ms)
            network.append(network_ms)
            if done in (WARMING, halfway, count):
                held[done] = processes.resident_bytes()[WORKER] / 1e6
            report(done)
    memory = held[WARMING], held[halfway], held[count]
    return Figures(*memory, times_of(sizes, whole), times_of(sizes, network))


def draw_sizes(count: int, smallest: int, largest: int) -> list[Size]:
    """Return different sizes in random order. Raises ValueError as `measure`."""
    sides = largest - smallest + 1
    if not WARMING + 1 < count <= sides**2:
        raise ValueError(f"between {WARMING + 2} and {sides**2} pictures have different sizes")
    drawn = np.random.default_rng(SEED).choice(sides**2, count, replace=False)
    return [(smallest + int(n) // sides, smallest + int(n) % sides) for n in drawn]


def times_of(sizes: list[Size], taken_ms: list[float]) -> Times:
    """Return the times per pixel of pictures that took so many milliseconds."""
    pixels = [width * height for width, height in sizes]
    each = [1e3 * ms / count for ms, count in zip(taken_ms, pixels, strict=True)][WARMING:]
    middle = median(each)
    slow = (s for s, us in zip(sizes[WARMING:], each, strict=True) if us > SLOW * middle)
    return Times(middle, max(each) / middle, tuple(slow))


def _send(client: httpx.Client, size: Size) -> tuple[float, float]:
    """Return the milliseconds of a request, and of its network."""
    picture = draw_jpeg(*size)
    since = time.perf_counter()
    answer = client.post(
        "/upscale",
        params={"scale": 2, "model": "anysr-s", "anysr_width": 1, "latency_budget_ms": 30_000},
        content=picture,
        headers={"Content-Type": "image/jpeg"},
    )
    whole_ms = 1e3 * (time.perf_counter() - since)
    answer.raise_for_status()
    return whole_ms, server_timing(answer.headers["Server-Timing"])["network"]

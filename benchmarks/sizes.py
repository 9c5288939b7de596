"""Memory and time over many pictures of different sizes, sent to a service one after another.

Runtimes prepare each new shape, and may keep what they prepared: a service that does grows, or
stalls, with the sizes that its callers send.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
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
REPEATS = 3
"""How often a slow picture is sent again: one that was disturbed is rarely slow again."""
BETWEEN = 12
"""Least number of other pictures before it is sent again: more than there are prepared shapes."""
SEED = 1

Size = tuple[int, int]
"""Width and height in pixels."""
Taken = tuple[float, float]
"""Milliseconds of a request, and of its network."""


@dataclass(frozen=True)
class Times:
    """Times per input pixel from the end of the warming on."""

    median_us: float
    slowest: float
    """The largest as a multiple of the median."""
    slow: tuple[Size, ...]
    """Sizes of the pictures that took more than SLOW times the median."""
    fixed_ms: float
    """What a picture without pixels would take, by the line through those that were not slow."""
    again: tuple[Size, ...] = ()
    """Those of `slow` that were so again, in the median of REPEATS further times."""


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
    taken: list[Taken] = []
    held: dict[int, float] = {}
    with running_process(1) as (url, process), httpx.Client(base_url=url, timeout=60) as client:
        processes = ServiceProcesses(process.pid)
        for done, size in enumerate(sizes, 1):
            taken.append(_send(client, size))
            if done in (WARMING, halfway, count):
                held[done] = processes.resident_bytes()[WORKER] / 1e6
            report(done)
        whole, network = (times_of(sizes, list(ms)) for ms in zip(*taken, strict=True))
        repeated = _repeated(client, sizes, {*whole.slow, *network.slow})
    memory = held[WARMING], held[halfway], held[count]
    return Figures(
        *memory,
        replace(whole, again=_slow_again(whole, {s: ms for s, (ms, _) in repeated.items()})),
        replace(network, again=_slow_again(network, {s: ms for s, (_, ms) in repeated.items()})),
    )


def draw_sizes(count: int, smallest: int, largest: int) -> list[Size]:
    """Return different sizes in random order. Raises ValueError as `measure`."""
    sides = largest - smallest + 1
    if not WARMING + 1 < count <= sides**2:
        raise ValueError(f"between {WARMING + 2} and {sides**2} pictures have different sizes")
    drawn = np.random.default_rng(SEED).choice(sides**2, count, replace=False)
    return [(smallest + int(n) // sides, smallest + int(n) % sides) for n in drawn]


def times_of(sizes: list[Size], taken_ms: list[float]) -> Times:
    """Return the times per pixel of pictures that took so many milliseconds."""
    pixels = np.array([width * height for width, height in sizes], np.float64)[WARMING:]
    taken = np.array(taken_ms, np.float64)[WARMING:]
    each = 1e3 * taken / pixels
    middle = float(np.median(each))
    is_slow = each > SLOW * middle
    line = np.polyfit(pixels[~is_slow], taken[~is_slow], 1)
    slow = tuple(itertools.compress(sizes[WARMING:], is_slow))
    return Times(middle, float(each.max()) / middle, slow, float(line[1]))


def _repeated(client: httpx.Client, sizes: list[Size], slow: set[Size]) -> dict[Size, Taken]:
    """Send slow pictures again, each after at least BETWEEN others; return their median times."""
    if not slow:
        return {}
    fillers = [size for size in sizes if size not in slow][: max(0, BETWEEN - len(slow))]
    found: dict[Size, list[Taken]] = {size: [] for size in (*sorted(slow), *fillers)}
    for size, times in (pair for _ in range(REPEATS) for pair in found.items()):
        times.append(_send(client, size))
    return {s: (median(a for a, _ in found[s]), median(b for _, b in found[s])) for s in slow}


def _slow_again(times: Times, repeated_ms: dict[Size, float]) -> tuple[Size, ...]:
    most_us = SLOW * times.median_us
    return tuple(
        (width, height)
        for width, height in times.slow
        if 1e3 * repeated_ms[width, height] / (width * height) > most_us
    )


def _send(client: httpx.Client, size: Size) -> Taken:
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

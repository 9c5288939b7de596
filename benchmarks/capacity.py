"""What a service of one worker makes in a second, by size and scale, for capacity plans."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import psutil

from benchmarks.local_service import running_process
from benchmarks.request_price import Service, run_round
from scheduling.rungs import Rung
from workers.machine import available_cores

CALLERS = 2
"""So that one picture waits while another is made, as in a busy service."""
BUDGET_MS = 120_000
"""Never the reason why a picture is made in another way."""


@dataclass(frozen=True)
class Row:
    """One rung, size and scale."""

    rung: Rung
    side: int
    """Of the square input, in pixels."""
    scale: float
    per_core: float
    """Pictures in a second, divided by the cores of this machine."""
    cpu_ms: float
    """Of all processes together, a picture."""


def measure(
    rungs: Sequence[Rung],
    sides: Sequence[int],
    scales: Sequence[float],
    seconds: float,
    report: Callable[[], None] = lambda: None,
) -> Iterator[Row]:
    """Yield a row for each rung, size and scale: JPEGs in and out over HTTP, sent
    for at least `seconds` and one picture a caller."""
    cores = available_cores()
    with running_process(1) as (url, process):
        for rung in rungs:
            for side in sides:
                for scale in scales:
                    parameters = {
                        "model": rung.model,
                        "anysr_width": f"{rung.width:g}",
                        "scale": f"{scale:g}",
                        "latency_budget_ms": str(BUDGET_MS),
                    }
                    service = Service("anysr", url, psutil.Process(process.pid), parameters)
                    made = asyncio.run(run_round(service, CALLERS, seconds, side))
                    per_core = made.pictures_per_s / cores
                    yield Row(rung, side, scale, per_core, made.cpu_ms)
                    report()

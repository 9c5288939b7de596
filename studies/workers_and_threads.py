"""Pictures per second of a service by its number of workers and the threads of each.

The services run one after another, because all of them together would need several times the
memory; each gets the same rounds of small and large pictures, at one caller and at four.

Figures: docs/performance.md, "Workers and threads".
Run: python -m studies.workers_and_threads --divisions 1x2 2x1
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator, Sequence

import psutil

from benchmarks.local_service import running_process
from benchmarks.request_price import Round, Service, run_round
from studies.arguments import parser_of

WARMING_S = 1.0
PARAMETERS = {"model": "anysr-s", "anysr_width": "1", "latency_budget_ms": "30000"}

Division = tuple[int, int]
"""Number of workers, and threads of each."""


def measure(
    division: Division, sides: Sequence[int], callers: Sequence[int], seconds: float
) -> Iterator[tuple[int, int, Round]]:
    """Yield the side of the pictures, the number of callers, and the figures of a service."""
    workers, threads = division
    with running_process(workers, ANYSR_WORKER_THREADS=str(threads)) as (url, process):
        service = Service(f"{workers}x{threads}", url, psutil.Process(process.pid), PARAMETERS)
        for side in sides:
            asyncio.run(run_round(service, max(callers), WARMING_S, side))
            for number in callers:
                yield side, number, asyncio.run(run_round(service, number, seconds, side))


def division_of(text: str) -> Division:
    """Return the division in `WORKERSxTHREADS`. Raises ValueError."""
    workers, threads = (int(part) for part in text.split("x"))
    if min(workers, threads) < 1:
        raise ValueError(text)
    return workers, threads


def arguments_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = parser_of("studies.workers_and_threads", __doc__)
    parser.add_argument(
        "--divisions", type=division_of, nargs="+", default=[(1, 2), (2, 1)], help="2x1 and so on"
    )
    parser.add_argument("--sides", type=int, nargs="+", default=[64, 256], help="pixels a side")
    parser.add_argument("--callers", type=int, nargs="+", default=[1, 4], help="callers at once")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of a round")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print pictures per second and median latency of each division."""
    given = arguments_of(arguments)
    for division in given.divisions:
        for side, callers, figures in measure(division, given.sides, given.callers, given.seconds):
            workers, threads = division
            print(
                f"{workers} workers of {threads} threads, {side} x {side}, {callers} callers: "
                f"{figures.pictures_per_s:.1f} pictures/s, {figures.latency_ms:.0f} ms, "
                f"{figures.cpu_ms:.0f} CPU ms a picture"
            )


if __name__ == "__main__":
    main()

"""What a client that sends many times its share costs another one, by simulation.

Two clients of equal weight share the workers. One sends `--share` of its half of what a fixed rung
could serve; the other `--flood` times its own half. The first is simulated alone, beside the other
with shares, and beside it as if both were one client.

Figures: docs/scheduling.md, "Clients against each other".
Run: python -m studies.client_shares
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from scheduling.rungs import Rung
from scheduling.simulation.machine import SimulatedWorkers
from scheduling.simulation.result import SimulationResult
from scheduling.simulation.simulator import simulate
from scheduling.simulation.strategies import Ours
from scheduling.simulation.workload import ARRIVALS, Workload, beside, draw
from studies.arguments import parser_of
from studies.simulated_tables import mean_best_ms, mixed_tables


@dataclass(frozen=True)
class Row:
    """How one client fared."""

    attainment: float
    db: float
    refused: float
    p95_ms: float
    """95th percentile of the time from arrival to the end of the run."""

    def cells(self) -> tuple[str, ...]:
        """Return the figures as text."""
        parts = f"{100 * self.attainment:.2f}", f"{self.db:.3f}", f"{100 * self.refused:.2f}"
        return *parts, f"{self.p95_ms:.0f}"


def arguments_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = parser_of("studies.client_shares", __doc__)
    parser.add_argument("--shares", default="0.25,0.5,1", help="parts of its half; comma-separated")
    parser.add_argument("--flood", type=float, default=10.0, help="times its half that one sends")
    parser.add_argument("--arrivals", default="poisson,gamma4", help=", ".join(ARRIVALS))
    parser.add_argument("--requests", type=int, default=4000, help="of the client that does not")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--rung", type=Rung.parse, default=Rung("anysr-m", 1.0))
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate, and print a table."""
    given = arguments_of(arguments)
    table = Table()
    headings = ("arrivals", "of its half", "case", "met %", "PSNR-Y", "refused %", "p95 ms")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    cases = [(a, float(s)) for a in given.arrivals.split(",") for s in given.shares.split(",")]
    for arrivals, share in track(cases, "Simulating"):
        for case, row in rows(given, arrivals, share).items():
            table.add_row(arrivals, f"{share:g}", case, *row.cells())
    Console().print(table)


def rows(given: argparse.Namespace, arrivals: str, share: float) -> dict[str, Row]:
    """Return how the client at its share fares alone and beside the flood, and the flood."""
    tables, half = mixed_tables(), _half_rate(given)
    own = draw(given.requests, half * share, ARRIVALS[arrivals], seed=1)
    seconds = own.arrival_ms[-1] / 1e3
    rate = half * given.flood
    flood = draw(int(rate * seconds), rate, ARRIVALS[arrivals], seed=2)
    both = beside((own, flood), (1.0, 1.0))
    assert both.client is not None
    machine = SimulatedWorkers(given.workers)

    def run(workload: Workload) -> SimulationResult:
        return simulate(workload, tables, Ours(), machine)

    shared = run(both)
    single = run(replace(both, client=None, weights=(1.0,)))
    return {
        "alone": row_of(run(own), np.ones(len(own), dtype=bool)),
        "beside the flood": row_of(shared, both.client == 0),
        "beside it, without shares": row_of(single, both.client == 0),
        "the flood": row_of(shared, both.client == 1),
        "the flood, without shares": row_of(single, both.client == 1),
    }


def row_of(result: SimulationResult, ours: NDArray[np.bool_]) -> Row:
    """Return the figures of some of the requests of a simulation."""
    numbers = np.flatnonzero(ours).tolist()
    found = [result.db_of[n] for n in numbers if n in result.db_of]
    refused = sum(n in result.refused_of for n in numbers)
    mean = sum(found) / max(1, len(found))
    ended = [result.latency_of[n] for n in numbers if n in result.latency_of]
    p95_ms = float(np.percentile(ended, 95)) if ended else float("nan")
    return Row(len(found) / len(numbers), mean, refused / len(numbers), p95_ms)


def _half_rate(given: argparse.Namespace) -> float:
    """Return the requests a second that the rung could serve on half of the workers."""
    mean_ms = mean_best_ms(mixed_tables(given.rung))
    return float(given.workers / 2 * 1e3 / mean_ms)


if __name__ == "__main__":
    main()

"""The service's own policy beside its rivals, by simulation of the mixed requests.

Each load is simulated with every policy, on four workers; the bound is of the first requests alone.

Figures: docs/scheduling.md, "Results".
Run: python -m studies.policies
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from rich.console import Console
from rich.progress import track

from scheduling.options import Options
from scheduling.rungs import FLOOR, Rung
from scheduling.simulation.machine import SimulatedWorkers
from scheduling.simulation.result import SimulationResult
from scheduling.simulation.simulator import simulate
from scheduling.simulation.strategies import Fixed, Greedy, Ours, SlackFit, Strategy
from scheduling.simulation.upper_bound import bound
from scheduling.simulation.workload import ARRIVALS, Workload, draw
from studies.arguments import parser_of
from studies.document_tables import table
from studies.simulated_tables import mean_best_ms, mixed_tables

WORKERS = 4
SERVED = Rung("anysr-m", 1.0)
"""The fixed network whose capacity is the unit of the load."""
RIVALS = (Rung("anysr-s", 1.0), Rung("anysr-s", 0.5))
LOADS = (
    ("gamma4", 0.5),
    ("gamma4", 1.0),
    ("gamma4", 1.5),
    ("gamma8", 1.5),
    ("on-off", 1.5),
    ("poisson", 1.5),
    ("gamma4", 2.5),
    ("gamma4", 5.0),
)
HEAD = (
    *("arrivals, load", "ours", "greedy", "slackfit"),
    *(f"fixed `{rung.key}`{of}" for rung in RIVALS for of in ("", ", behind our admission")),
    "ours, the bound (PSNR-Y)",
)


def row(arrivals: str, load: float, requests: int, bounded: int, seed: int) -> tuple[str, ...]:
    """Return the row of a load."""
    tables, machine = mixed_tables(), SimulatedWorkers(WORKERS, seed=seed + 1)
    rate = load * WORKERS * 1e3 / mean_best_ms(mixed_tables(SERVED))
    workload = draw(requests, rate, ARRIVALS[arrivals], seed=seed)

    def run(strategy: Strategy, own: Sequence[Options] = tables) -> SimulationResult:
        return simulate(workload, own, strategy, machine, best=tables)

    fixed = [
        shown(run(Fixed(widest=True, admission=admission), mixed_tables(rung)))
        for rung in RIVALS
        for admission in (False, True)
    ]
    chosen = (shown(run(strategy)) for strategy in (Ours(), Greedy(), SlackFit()))
    first = draw(bounded, rate, ARRIVALS[arrivals], seed=seed)
    return (f"{arrivals}, {load:g}", *chosen, *fixed, beside_bound(first, tables, machine))


def shown(result: SimulationResult) -> str:
    """Return met of all and of those let in, in percent, loss in dB, and resampled, in percent."""
    met, let_in = 100 * result.attainment, 100 * result.admitted_attainment
    resampled = 100 * result.rungs.get(FLOOR.key, 0) / result.requests
    return f"{met:.2f} ({let_in:.2f}) / {result.loss_db:.3f} / {resampled:.2f}"


def beside_bound(workload: Workload, tables: Sequence[Options], machine: SimulatedWorkers) -> str:
    """Return the mean quality of ours, and the best of any schedule with as many in time."""
    ours = simulate(workload, tables, Ours(), machine)
    came = replace(workload, arrival_ms=np.array(ours.arrival_ms))
    factors = machine.factors(len(workload))
    best = bound(came, tables, ours.attainment, machine.workers, factors)
    return f"{ours.db:.3f}, {best.db:.3f}"


def arguments_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = parser_of("studies.policies", __doc__)
    parser.add_argument("--requests", type=int, default=6000)
    parser.add_argument("--bounded", type=int, default=2000, help="requests of the bound")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate, and print the table."""
    given = arguments_of(arguments)
    sizes = given.requests, given.bounded, given.seed
    found = [row(arrivals, load, *sizes) for arrivals, load in track(LOADS, "Simulating")]
    text = table(HEAD, found)
    Console(soft_wrap=True).print(text, markup=False, highlight=False)


if __name__ == "__main__":
    main()

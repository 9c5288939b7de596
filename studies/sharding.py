"""What several queues instead of one cost in budgets and quality, by simulation.

Bursts (gamma arrivals with a coefficient of variation of 4) at 1.5 times what the workers could
serve with `anysr-m@1`, mixed sizes and scales, budgets from 300 to 3000 ms: the load of the second
table of docs/scheduling.md, with as much for each of more workers.

Figures: docs/scaling.md, "Shards".
Run: python -m studies.sharding --write
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.progress import track

from scheduling.options import Options
from scheduling.rungs import Rung
from scheduling.simulation.machine import SimulatedWorkers
from scheduling.simulation.simulator import simulate
from scheduling.simulation.strategies import Ours
from scheduling.simulation.workload import Workload, draw, gamma
from studies.arguments import parser_of
from studies.document_tables import ROOT, replace_table, table
from studies.simulated_tables import mean_best_ms, mixed_tables

DOCUMENT = ROOT / "docs" / "scaling.md"
LOAD = 1.5
SERVED = Rung("anysr-m", 1.0)
HEAD = ("workers", "shards", "budgets met", "refused", "mean PSNR-Y", "loss, dB", "workers busy")


def rows(
    workers: int, shards: Sequence[int], workload: Workload, tables: Sequence[Options]
) -> Iterator[tuple[str, ...]]:
    """Yield the row of each number of shards."""
    for number in shards:
        machine = SimulatedWorkers(workers, shards=number)
        found = simulate(workload, tables, Ours(), machine)
        yield (
            *(str(workers), str(number), f"{100 * found.attainment:.2f} %"),
            *(f"{100 * found.refused / found.requests:.2f} %", f"{found.db:.3f}"),
            *(f"{found.loss_db:.3f}", f"{100 * found.busy:.0f} %"),
        )


def workload_of(workers: int, requests: int, seed: int) -> Workload:
    """Return the requests for so many workers."""
    rate = LOAD * workers * 1e3 / mean_best_ms(mixed_tables(SERVED))
    return draw(requests, rate, gamma(4), seed=seed)


def arguments_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = parser_of("studies.sharding", __doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[4, 12, 48])
    parser.add_argument("--shards", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--requests", type=int, default=5000, help="for each four workers")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help=f"write {DOCUMENT.name}")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate, and print the table or write it into the document."""
    given = arguments_of(arguments)
    found: list[tuple[str, ...]] = []
    tables = mixed_tables()
    for workers in track(given.workers, "Simulating"):
        workload = workload_of(workers, given.requests * workers // 4, given.seed)
        found += rows(workers, given.shards, workload, tables)
    text = table(HEAD, found)
    Console(soft_wrap=True).print(text, markup=False, highlight=False)
    if given.write:
        replace_table(DOCUMENT, "shards", text)


if __name__ == "__main__":
    main()

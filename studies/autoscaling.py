"""Whether workers that come and go with the work pay, and by which signal, by simulation.

A day within `--hours`, with spikes of four times the work, and work in a quarter of each two hours;
at its best it would keep four workers busy on average. Each autoscaler is compared with fixed
numbers of workers: the one whose worker hours are nearest, and the fewest that meet as many
budgets, or make pictures as good.

Figures: docs/scaling.md, "Autoscaling".
Run: python -m studies.autoscaling --write
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import track

from scheduling.options import Options
from scheduling.simulation.autoscaling import Autoscaler, Signal
from scheduling.simulation.machine import SimulatedWorkers
from scheduling.simulation.result import SimulationResult
from scheduling.simulation.simulator import simulate
from scheduling.simulation.strategies import Ours
from scheduling.simulation.workload import Workload, day, draw, on_off
from studies.arguments import parser_of
from studies.document_tables import ROOT, replace_table, table
from studies.simulated_tables import mean_best_ms, mixed_tables

DOCUMENT = ROOT / "docs" / "scaling.md"
BUSY_WORKERS = 4
"""Workers that the mean load would keep busy, with each picture at its best."""
MOST = 10
"""Most workers, fixed or not."""
START_S = (30.0, 120.0)
"""Times from a decision to a warm worker: of a pod on a machine that runs, and on a new one."""
RULES: tuple[tuple[Signal, float, int], ...] = (
    (Signal.BACKLOG, 2.0, 1),
    (Signal.BACKLOG, 0.1, 2),
    (Signal.RUNNING, 0.7, 1),
    (Signal.RUNNING, 0.7, 2),
    (Signal.RUNNING, 0.5, 2),
    (Signal.WANTED, 1.5, 2),
    (Signal.WANTED, 1.5, 0),
)
"""Signals with their targets for one worker, and the fewest workers."""
CHOSEN = (Signal.RUNNING, 0.7, 2)
"""The rule of deploy/kubernetes/scaling.yaml."""
WORDS = {
    Signal.BACKLOG: "waiting work at its cheapest, {} s",
    Signal.RUNNING: "runs, mean of a minute, {}",
    Signal.WANTED: "requested work at its best, {} s a second",
}
HEAD = (
    *("work", "start", "a worker for", "fewest", "worker hours", "budgets met", "refused"),
    *("loss, dB", "fixed, as many hours: met, loss", "fixed, as many met", "fixed, as good"),
)


@dataclass(frozen=True)
class Case:
    """A workload, and how fixed numbers of workers fare with it, by number."""

    name: str
    hours: float
    workload: Workload
    tables: list[Options]
    fixed: Mapping[int, SimulationResult]

    def run(self, rule: Autoscaler) -> SimulationResult:
        """Simulate it with an autoscaler."""
        return simulate(self.workload, self.tables, Ours(), SimulatedWorkers(autoscaler=rule))

    def row(self, rule: Autoscaler) -> tuple[str, ...]:
        """Return the row of the table of an autoscaler."""
        found = self.run(rule)
        nearest = min(self.fixed, key=lambda n: abs(hours_of(self.fixed[n]) - hours_of(found)))
        beside = self.fixed[nearest]
        as_many = [n for n, one in self.fixed.items() if one.attainment >= found.attainment]
        as_good = [n for n, one in self.fixed.items() if one.loss_db <= found.loss_db]
        return (
            *(
                self.name,
                f"{rule.start_ms / 1e3:g} s",
                WORDS[rule.signal].format(f"{rule.target:g}"),
            ),
            *(str(rule.fewest), f"{hours_of(found):.1f}", percent(found.attainment)),
            *(percent(found.refused / found.requests), loss(found)),
            f"{nearest}: {percent(beside.attainment)}, {loss(beside)}",
            *(self._fewest(as_many), self._fewest(as_good)),
        )

    def _fewest(self, numbers: Sequence[int]) -> str:
        if not numbers:
            return "none"
        return f"{min(numbers)}: {hours_of(self.fixed[min(numbers)]):.1f} h"


def hours_of(result: SimulationResult) -> float:
    """Return the worker hours of a simulation."""
    return result.worker_ms / 3.6e6


def percent(part: float) -> str:
    """Return a part as text."""
    return f"{100 * part:.2f} %"


def loss(result: SimulationResult) -> str:
    """Return the mean loss of the pictures in time, in dB; none where there are none."""
    return f"{result.loss_db:.3f}" if result.met else "none made"


def workloads(hours: float, tables: Sequence[Options], seed: int) -> dict[str, Workload]:
    """Return the workloads by name."""
    rate = BUSY_WORKERS * 1e3 / mean_best_ms(tables)
    seconds = hours * 3600
    shapes = {"day": day(period_s=seconds), "on and off": on_off(0.25, min(7200.0, seconds))}
    return {n: draw(int(rate * seconds), rate, a, seed=seed) for n, a in shapes.items()}


def cases(hours: float, seed: int, most: int = MOST) -> list[Case]:
    """Return the workloads with their fixed numbers of workers simulated."""
    tables = mixed_tables()
    return [
        Case(name, hours, workload, tables, _fixed(name, workload, tables, most))
        for name, workload in workloads(hours, tables, seed).items()
    ]


def _fixed(
    name: str, workload: Workload, tables: list[Options], most: int
) -> dict[int, SimulationResult]:
    numbers = track(range(1, most + 1), f"{name}, fixed")
    return {n: simulate(workload, tables, Ours(), SimulatedWorkers(n)) for n in numbers}


def rows(case: Case) -> list[tuple[str, ...]]:
    """Return the rows of a workload: each rule with each time to start a worker."""
    rules = [
        Autoscaler(signal, target, start_s * 1e3, fewest, MOST)
        for start_s in START_S
        for signal, target, fewest in RULES
    ]
    return [case.row(rule) for rule in track(rules, case.name)]


def arguments_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = parser_of("studies.autoscaling", __doc__)
    parser.add_argument("--hours", type=float, default=4.0, help="length of each workload")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help=f"write {DOCUMENT.name}")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate, and print the table or write it into the document."""
    given = arguments_of(arguments)
    text = table(HEAD, [row for case in cases(given.hours, given.seed) for row in rows(case)])
    Console(soft_wrap=True).print(text, markup=False, highlight=False)
    if given.write:
        replace_table(DOCUMENT, "autoscaling", text)


if __name__ == "__main__":
    main()

"""`anysr simulate`: comparison of strategies on one workload, with measured costs."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from cli.arguments import check_writable
from cli.extras import needs
from cli.terminal import console, progress
from jobs.job import OnMiss
from models.catalog import SHIPPED, CatalogError, read_catalog
from scheduling.cost_model import CostModel, OutdatedCosts
from scheduling.options import Options
from scheduling.rungs import Rung
from scheduling.simulation.machine import SimulatedWorkers
from scheduling.simulation.result import SimulationResult
from scheduling.simulation.simulator import simulate as run_simulation
from scheduling.simulation.strategies import STRATEGIES, Fixed, Strategy
from scheduling.simulation.tables import tables_of
from scheduling.simulation.upper_bound import Bound, OutOfReachError, bound
from scheduling.simulation.workload import (
    ARRIVALS,
    MIXED,
    Kind,
    Workload,
    closed_loop,
    draw,
    read_trace,
)

COSTS = Path(__file__).parents[1] / "benchmarks" / "costs" / "two-cores.json"
P98 = 2.054
"""98th percentile of the normal distribution, in standard deviations."""
LN_50 = math.log(50)
"""98th percentile of the exponential distribution, as a multiple of its mean."""
ADMITTED = "-admitted"
"""Suffix of a pinned rung whose requests pass admission, as in widest-admitted."""
BOUND_REQUESTS = 5000
"""Most requests for which the offline bound is computed, which takes seconds."""


def simulate(
    arrivals: Annotated[str, typer.Option(help=", ".join(ARRIVALS))] = "gamma4",
    trace: Annotated[
        Path | None,
        typer.Option(
            help="CSV: arrival_ms[,width,height,scale,budget_ms]; instead of random requests."
        ),
    ] = None,
    requests: Annotated[int, typer.Option(min=1, help="Number of random requests.")] = 100_000,
    load: Annotated[
        float,
        typer.Option(
            help="Mean load, as a multiple of the capacity for one fixed rung; see --load-of."
        ),
    ] = 1.5,
    load_of: Annotated[
        str | None, typer.Option(help="MODEL@WIDTH of --load; default: the widest.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Number of workers.")] = 4,
    shards: Annotated[
        str,
        typer.Option(help="Queues among which jobs and workers are divided; comma-separated."),
    ] = "1",
    budgets: Annotated[str, typer.Option(help="Smallest and largest budget in ms.")] = "300,3000",
    callers: Annotated[
        int,
        typer.Option(
            min=0,
            help="Closed loop: number of callers, each of whom waits for an answer before the "
            "next request; instead of --arrivals and --load.",
        ),
    ] = 0,
    think_ms: Annotated[
        float, typer.Option(min=0, help="Mean time of a caller between answer and next request.")
    ] = 0.0,
    scale: Annotated[
        float | None,
        typer.Option(min=1, max=64, help="Scale of every random request; default: a mix."),
    ] = None,
    on_miss: Annotated[
        OnMiss, typer.Option(help="degrade: all callers accept resampled pictures; reject: none.")
    ] = OnMiss.DEGRADE,
    strategies: Annotated[
        str,
        typer.Option(
            help=f"Comma-separated of {', '.join(STRATEGIES)}, MODEL@WIDTH, "
            "MODEL@WIDTH-admitted; or all."
        ),
    ] = "all",
    costs: Annotated[
        Path, typer.Option(help="Measured costs: JSON of `anysr calibrate --output`.")
    ] = COSTS,
    models: Annotated[Path, typer.Option(help="Model folder.")] = SHIPPED,
    deviation: Annotated[
        float,
        typer.Option(min=0, max=10, help="Standard deviation of log(actual / predicted cost)."),
    ] = 0.1,
    delay_ms: Annotated[
        float,
        typer.Option(min=0, max=1e4, help="Mean delay of a run by other work of the machine."),
    ] = 0.0,
    overhead_ms: Annotated[
        float, typer.Option(min=0, max=1e6, help="What gateway and queue take of each budget.")
    ] = 0.0,
    slow: Annotated[
        list[str],
        typer.Option(help="TIME_S:WORKER:FACTOR; repeatable. inf: the worker dies; 1: it is back."),
    ] = [],  # noqa: B006 - typer reads it and nothing writes to it
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")] = 1,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write the result here.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Plot attainment against mean quality to this PNG.")
    ] = None,
) -> None:
    """Compare strategies on one workload, with measured costs and the service's own policy.

    For at most 5000 requests without --slow, the last line is an offline bound: the best mean
    quality of any schedule at the attainment of the first strategy.
    """
    chosen = _chosen(strategies)
    check_writable(json_file, plot)
    try:
        changes = _changes(slow, workers)
        machine = SimulatedWorkers(workers, deviation, delay_ms, seed=seed + 1, slow=changes)
        machines = {number: replace(machine, shards=number) for number in _numbers(shards)}
        ladders = _Ladders(models, costs, on_miss, deviation, delay_ms)
        if trace is not None:
            workload = read_trace(trace, seed)
        elif callers:
            mix = _mix(scale)
            workload = closed_loop(requests, callers, think_ms, mix, _budgets(budgets), seed)
        else:
            # The load refers to a fixed rung, because a wider top would change its meaning.
            pinned = Rung.parse(load_of) if load_of else None
            counted = ladders.of(draw(1, 1.0, mix=_mix(scale)), pinned)
            mean_ms = _mean_ms(counted, _mix(scale))
            workload = _drawn(mean_ms, arrivals, requests, load, workers, budgets, scale, seed)
        workload = replace(workload, budget_ms=workload.budget_ms - overhead_ms)
        tables = ladders.of(workload)
        own = {name: ladders.of(workload, rung) for name, (_, rung) in chosen.items() if rung}
    except (CatalogError, OSError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error
    outcomes = _run(chosen, workload, tables, own, machines)
    first = next(iter(outcomes.values()))
    came = replace(workload, arrival_ms=np.array(first.arrival_ms))
    best = None if slow else _bound(came, tables, machine, first)
    console().print(_table(outcomes, best))
    result = _as_json(workload, machine, outcomes, best)
    if json_file:
        json_file.write_text(json.dumps(result, indent=1) + "\n")
    if plot:
        _plot(plot, outcomes, best)


@dataclass(frozen=True)
class _Ladders:
    """Models and costs from which the options of each kind of request follow."""

    models: Path
    costs: Path
    on_miss: OnMiss
    deviation: float
    delay_ms: float

    def of(self, workload: Workload, pinned: Rung | None = None) -> list[Options]:
        entries = {entry.name: entry for entry in read_catalog(self.models).models}
        try:
            costs = CostModel.from_dict(json.loads(self.costs.read_text()))
        except OutdatedCosts as error:
            raise ValueError(f"{self.costs}: {error}") from error
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            raise ValueError(f"{self.costs} holds no costs of `anysr calibrate`") from error
        margin, jitter_ms = self._margin()
        handling_ms = costs.handling_ms + self.delay_ms
        costs = replace(costs, margin=margin, jitter_ms=jitter_ms, handling_ms=handling_ms)
        return tables_of(workload.kinds, entries, costs, self.on_miss, pinned)

    def _margin(self) -> tuple[float, float]:
        """Return margin and jitter at which a cost model settles: proportional deviations need no
        jitter, delays a margin on the jitter that their 98th percentile stays below."""
        margin = math.exp(P98 * self.deviation)
        if not self.delay_ms:
            return margin, 0.0
        late_ms = (LN_50 - 1) * self.delay_ms
        return max(margin, 1 + late_ms / CostModel.jitter_ms), CostModel.jitter_ms


def _drawn(
    mean_ms: float,
    arrivals: str,
    requests: int,
    load: float,
    workers: int,
    budgets: str,
    scale: float | None,
    seed: int,
) -> Workload:
    """Return random requests at `load` times the capacity of workers that take `mean_ms` each."""
    if arrivals not in ARRIVALS:
        raise ValueError(f"unknown arrivals {arrivals!r}: {', '.join(ARRIVALS)}")
    if not (0 < load < math.inf):
        raise ValueError(f"the load must be a number above 0, not {load:g}")
    rate = load * workers * 1e3 / mean_ms
    return draw(requests, rate, ARRIVALS[arrivals], _mix(scale), _budgets(budgets), seed)


def _mean_ms(tables: list[Options], mix: list[tuple[Kind, float]]) -> float:
    """Return the mean cost in ms of each kind's best option, over a mix of kinds."""
    return sum(table[-1].expected_ms * share for table, (_, share) in zip(tables, mix, strict=True))


def _mix(scale: float | None) -> list[tuple[Kind, float]]:
    return [(replace(kind, scale=scale or kind.scale), share) for kind, share in MIXED]


def _budgets(text: str) -> tuple[float, float]:
    parts = [float(part) for part in text.split(",")]
    if len(parts) != 2 or not 0 < parts[0] <= parts[1] < math.inf:
        raise ValueError(f"budgets are two rising numbers of ms, not {text!r}")
    return parts[0], parts[1]


def _numbers(shards: str) -> list[int]:
    try:
        return [int(part) for part in shards.split(",")]
    except ValueError:
        raise ValueError(f"--shards are whole numbers, not {shards!r}") from None


def _chosen(strategies: str) -> dict[str, tuple[Strategy, Rung | None]]:
    names = list(STRATEGIES) if strategies == "all" else strategies.split(",")
    return {name: _strategy(name) for name in names}


def _strategy(name: str) -> tuple[Strategy, Rung | None]:
    """Return a strategy, and the rung that its requests pin; None if they pin none."""
    if name in STRATEGIES:
        return STRATEGIES[name](), None
    rung, admitted, _ = name.partition(ADMITTED)
    try:
        return Fixed(widest=True, admission=bool(admitted)), Rung.parse(rung)
    except ValueError:
        known = ", ".join(STRATEGIES)
        raise typer.BadParameter(f"unknown strategy {name!r}: {known}, MODEL@WIDTH") from None


def _changes(slow: Sequence[str], workers: int) -> list[tuple[float, int, float]]:
    changes = []
    for text in slow:
        try:
            time_s, worker, factor = (float(part) for part in text.split(":"))
        except ValueError:
            raise ValueError(f"--slow {text!r} must be TIME_S:WORKER:FACTOR") from None
        if not (0 <= time_s < math.inf and worker in range(workers) and factor > 0):
            raise ValueError(f"--slow {text!r}: a worker from 0 to {workers - 1}, a factor above 0")
        changes.append((time_s * 1e3, int(worker), factor))
    return changes


def _run(
    chosen: dict[str, tuple[Strategy, Rung | None]],
    workload: Workload,
    tables: list[Options],
    own: dict[str, list[Options]],
    machines: dict[int, SimulatedWorkers],
) -> dict[str, SimulationResult]:
    """Return the outcome of each strategy with each number of shards."""
    outcomes = {}
    with progress() as bars:
        for number, machine in machines.items():
            for name, (strategy, _) in chosen.items():
                label = name if number == 1 else f"{name}, {number} shards"
                task = bars.add_task(label, total=len(workload))
                outcomes[label] = run_simulation(
                    workload,
                    own.get(name, tables),
                    deepcopy(strategy),  # some learn
                    machine,
                    lambda done, task=task: bars.update(task, completed=done),  # type: ignore[misc]
                    tables,
                )
    return outcomes


def _bound(
    workload: Workload, tables: list[Options], machine: SimulatedWorkers, first: SimulationResult
) -> Bound | None:
    if len(workload) > BOUND_REQUESTS or not first.met:
        return None
    with needs("simulate"), console(error=True).status("Bound"):
        factors = machine.factors(len(workload))
        try:
            return bound(workload, tables, first.attainment, machine.workers, factors)
        except OutOfReachError:  # the first strategy runs batches
            return None


def _table(outcomes: dict[str, SimulationResult], best: Bound | None) -> Table:
    count = next(iter(outcomes.values())).requests
    table = Table(title=f"{count} requests")
    table.add_column("strategy", no_wrap=True)
    for heading in ("met %", "of let in", "refused", "PSNR-Y", "loss dB", "busy %"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, o in outcomes.items():
        parts = (o.attainment, o.admitted_attainment, o.refused / count)
        cells = [f"{100 * part:.2f}" for part in parts]
        table.add_row(name, *cells, f"{o.db:.3f}", f"{o.loss_db:.3f}", f"{100 * o.busy:.1f}")
    if best is not None:
        table.add_row("bound", f"{100 * best.attainment:.2f}", "", "", f"{best.db:.3f}", "", "")
    return table


def _as_json(
    workload: Workload,
    machine: SimulatedWorkers,
    outcomes: dict[str, SimulationResult],
    best: Bound | None,
) -> dict[str, Any]:
    return {
        "requests": len(workload),
        "seconds": max(next(iter(outcomes.values())).arrival_ms) / 1e3,
        "workers": machine.workers,
        "strategies": {name: outcome.to_dict() for name, outcome in outcomes.items()},
        "bound": best and {"attainment": best.attainment, "mean_db": best.db},
    }


def _plot(path: Path, outcomes: dict[str, SimulationResult], best: Bound | None) -> None:
    with needs("simulate"):
        from matplotlib.figure import Figure
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    points = {name: (o.db, o.attainment) for name, o in outcomes.items()}
    if best is not None:
        points["bound"] = (best.db, best.attainment)
    for name, (db, attainment) in points.items():
        axes.plot(db, 100 * attainment, "*" if name == "bound" else "o", label=name)
    axes.set(xlabel="mean PSNR-Y of the pictures in time (dB)", ylabel="budgets met (%)")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, format="png", dpi=150)

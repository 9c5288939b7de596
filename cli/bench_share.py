"""`anysr bench share`: what a client that floods the service costs another one."""

from __future__ import annotations

from dataclasses import astuple
from typing import Annotated

import typer
from rich.table import Table

from cli.extras import needs
from cli.terminal import console, progress
from scheduling.simulation.workload import ARRIVALS


def share(
    seconds: Annotated[float, typer.Option(min=1, help="Length of each of the two parts.")] = 120.0,
    rate: Annotated[float, typer.Option(min=0.1, help="Requests a second of the client.")] = 1.0,
    flood: Annotated[float, typer.Option(min=0, help="Times as many of the other.")] = 10.0,
    workers: Annotated[int, typer.Option(min=1, help="Workers of the service.")] = 2,
    arrivals: Annotated[str, typer.Option(help=", ".join(ARRIVALS))] = "poisson",
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")] = 1,
) -> None:
    """Measure a client alone on a service of its own, then beside another one that floods it."""
    with needs("simulate"):
        from benchmarks.share import run
    if arrivals not in ARRIVALS:
        raise typer.BadParameter(f"unknown arrivals {arrivals!r}: {', '.join(ARRIVALS)}")
    with progress(refresh=1) as bars:
        task = bars.add_task("Answered", total=None)

        def show(answered: int) -> None:
            bars.update(task, completed=answered)

        report = run(seconds, rate, flood, workers, arrivals, seed, show)
    rows = {"alone": report.alone, "beside the flood": report.beside, "the flood": report.flood}
    outcomes = _table("", "requests", "met %", "refused %", "PSNR-Y", "p50 ms")
    times = _table("p95 in ms", "latency", "sent late", "queue", "paused", "run", "rest")
    for name, row in rows.items():
        found = row.summary
        db = "" if found.mean_db is None else f"{found.mean_db:.3f}"
        parts = f"{100 * found.attainment:.1f}", f"{100 * found.refused:.1f}"
        outcomes.add_row(name, str(found.requests), *parts, db, f"{found.latency_ms['p50']:.0f}")
        times.add_row(name, *(f"{ms:.0f}" for ms in astuple(row.times)))
    console().print(outcomes, times)


def _table(*headings: str) -> Table:
    table = Table()
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table

"""`anysr bench share`: what a client that floods the service costs another one."""

from __future__ import annotations

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
    table = Table()
    for heading in ("", "requests", "met %", "refused %", "PSNR-Y", "p50 ms", "p95 ms"):
        table.add_column(heading, justify="right", no_wrap=True)
    p95s = {"alone": report.alone_p95_ms, "beside the flood": report.beside_p95_ms}
    rows = {"alone": report.alone, "beside the flood": report.beside, "the flood": report.flood}
    for name, row in rows.items():
        p95 = f"{p95s[name]:.0f}" if name in p95s else ""
        db = "" if row.mean_db is None else f"{row.mean_db:.3f}"
        parts = f"{100 * row.attainment:.1f}", f"{100 * row.refused:.1f}"
        table.add_row(name, str(row.requests), *parts, db, f"{row.latency_ms['p50']:.0f}", p95)
    console().print(table)

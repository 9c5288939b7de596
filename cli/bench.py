"""`anysr bench`: honest timings of the real parts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.extras import needs
from models.catalog import SHIPPED, read_catalog

app = typer.Typer(help="Time the real parts, as ratios within one run.", no_args_is_help=True)


@app.command()
def model(
    names: Annotated[str, typer.Option("--models", help="Comma-separated, or 'all'.")] = "all",
    scales: Annotated[str, typer.Option(help="Comma-separated.")] = "1.5,2,2.37,3,4",
    side: Annotated[int, typer.Option(help="Input pixels a side.")] = 256,
    threads: Annotated[int, typer.Option(help="ONNX Runtime threads.")] = 2,
    repeats: Annotated[int, typer.Option(help="Counted runs of each.")] = 15,
    folder: Annotated[Path, typer.Option(help="The model folder.")] = SHIPPED,
) -> None:
    """Time each width against the widest, and the widest against its own trunk.

    Everything runs in turn in one process; figures are medians of the ratios of neighbouring
    runs.
    """
    with needs("train"):
        from benchmarks.model import time_model
    catalog = read_catalog(folder)
    for name in catalog.names if names == "all" else names.split(","):
        entry = catalog.get(name)
        narrower = [w.width for w in entry.widths[:-1]]
        table = Table(title=f"{name}, input {side}x{side}, {threads} threads, {repeats} runs")
        for heading in ("scale", "widest ms", "widest / trunk"):
            table.add_column(heading, justify="right")
        for width in narrower:
            table.add_column(f"{width:g} / widest", justify="right")
        wanted = [float(s) for s in scales.split(",")]
        for row in time_model(folder, entry, wanted, side, threads, repeats):
            ratios = (f"{row.over_widest[w]:.2f}" for w in narrower)
            cells = (f"x{row.scale:g}", f"{row.widest_ms:.0f}", f"{row.over_trunk:.2f}")
            table.add_row(*cells, *ratios)
        Console().print(table)


@app.command()
def overhead(
    requests: Annotated[int, typer.Option(help="Counted requests.")] = 200,
    url: Annotated[
        str | None, typer.Option(help="A running service; without it one is started.")
    ] = None,
) -> None:
    """Time everything but the network: a 64x64 JPEG in and out, one request at a time."""
    from benchmarks.overhead import time_overhead

    result = time_overhead(requests, url)
    table = Table(title=f"64x64 JPEG, x2, {requests} requests, one at a time (ms)")
    for heading in ("", "median", "p90", "p99"):
        table.add_column(heading, justify="right")
    for name, values in result.items():
        table.add_row(name, *(f"{v:.1f}" for v in values))
    Console().print(table)

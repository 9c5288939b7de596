"""`anysr bench rivals`: the service's own choice of width beside fixed networks."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress, TaskID
from rich.table import Table

from cli.arguments import check_service, check_writable, each
from cli.extras import needs
from cli.load_unit import measured_unit
from cli.terminal import console, progress
from scheduling.rungs import FLOOR, Rung
from scheduling.simulation.workload import ARRIVALS, draw

if TYPE_CHECKING:
    from benchmarks.load import Summary


def rivals(
    url: Annotated[
        str | None, typer.Option(help="A running service; default: one is started.")
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Workers of the service that is started.")
    ] = 2,
    rates: Annotated[str, typer.Option(help="Mean requests per second; comma-separated.")] = "2",
    loads: Annotated[
        str | None,
        typer.Option(
            help="Instead of the rates: multiples of what --load-of serves here, measured first by "
            "twice as many callers as --workers."
        ),
    ] = None,
    load_of: Annotated[
        str, typer.Option(help="The network that is the unit of --loads: MODEL@WIDTH.")
    ] = "anysr-m@1",
    seconds: Annotated[float, typer.Option(min=1, max=1e6, help="How long each trace is.")] = 90.0,
    rungs: Annotated[
        str, typer.Option(help="Rivals: MODEL@WIDTH, comma-separated; empty: none.")
    ] = "anysr-s@1,anysr-s@0.5",
    arrivals: Annotated[str, typer.Option(help=", ".join(ARRIVALS))] = "gamma4",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the traces.")] = 1,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write the result here.")
    ] = None,
    samples_folder: Annotated[
        Path | None,
        typer.Option("--samples", help="Also write each request into this folder, as CSV."),
    ] = None,
) -> None:
    """Send each trace once to the service as it is, and once with each pinned network."""
    with needs("simulate"):
        from benchmarks.load import summarise, write_samples
        from benchmarks.rivals import compare
    from benchmarks.local_service import running_service

    fixed = each(rungs, Rung.parse, "--rungs") if rungs else []
    (unit,) = each(load_of, Rung.parse, "--load-of")
    wanted = each(loads, float, "--loads") if loads else each(rates, float, "--rates")
    if arrivals not in ARRIVALS:
        raise typer.BadParameter(f"unknown arrivals {arrivals!r}: {', '.join(ARRIVALS)}")
    if not all(0 < rate <= 1e6 for rate in wanted):
        raise typer.BadParameter("rates and loads are numbers above 0")
    check_writable(json_file)
    if samples_folder:
        samples_folder.mkdir(parents=True, exist_ok=True)
    check_service(url)
    found = {}
    with contextlib.ExitStack() as stack:
        base = url or stack.enter_context(running_service(workers))
        bars = stack.enter_context(progress(refresh=1))
        one = measured_unit(base, unit, workers, bars) if loads else 1.0
        for load in wanted:
            rate = load * one
            workload = draw(max(1, round(rate * seconds)), rate, ARRIVALS[arrivals], seed=seed)
            label = f"{load:g}x: {rate:.3g} a second" if loads else f"{rate:g} a second"
            task = bars.add_task(label, total=len(workload) * (1 + len(fixed)))
            sending = compare(base, workload, fixed, partial(_update, bars, task))
            sent = asyncio.run(sending)
            found[label] = {name: summarise(samples) for name, samples in sent.items()}
            if samples_folder:
                for name, samples in sent.items():
                    write_samples(samples, samples_folder / f"{load:g}-{name}.csv")
    console().print(_table(found))
    if json_file:
        plain = {at: {n: one.to_dict() for n, one in by.items()} for at, by in found.items()}
        json_file.write_text(json.dumps(plain, indent=1) + "\n")


def _update(bars: Progress, task: TaskID, done: int) -> None:
    bars.update(task, completed=done)


def _table(found: Mapping[str, Mapping[str, Summary]]) -> Table:
    table = Table()
    table.add_column("load", no_wrap=True)
    table.add_column("strategy", no_wrap=True)
    for heading in ("met %", "of let in", "refused", "resampled", "PSNR-Y", "loss dB", "of all"):
        table.add_column(heading, justify="right", no_wrap=True)
    for load, outcomes in found.items():
        for name, one in outcomes.items():
            parts = one.attainment, one.admitted_attainment, one.refused
            shown = [f"{100 * part:.2f}" for part in (*parts, one.rungs.get(FLOOR.key, 0.0))]
            figures = one.mean_db, one.loss_db, one.loss_of_all_db
            decibels = ("" if db is None else f"{db:.3f}" for db in figures)
            table.add_row(load, name, *shown, *decibels)
    return table

"""`anysr bench durability`: what is lost with power, disk or server, and what safety costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from benchmarks.durability.cost import time_submissions
from benchmarks.durability.damage import damage as damage_files
from benchmarks.durability.digest_cost import time_digests
from benchmarks.durability.failovers import Report, fail_over
from benchmarks.durability.power_loss import Trial, lose_power
from benchmarks.durability.server import LEAST_DOWN_AFTER_MS, Watch
from benchmarks.durability.trial_jobs import Promise
from cli.terminal import console, progress

app = typer.Typer(help="Measure what is lost with power, disk or server.", no_args_is_help=True)

WAYS = (
    ("everysec", Promise.NONE),
    ("everysec", Promise.WAITAOF),
    ("always", Promise.NONE),
    ("always", Promise.DURABLE),
)
"""(appendfsync, promise) of the rows of `power-loss`."""
DIGESTED = (8_000, 1_000_000, 30_000_000)
"""Bytes of the pictures of `digests`: a PNG of 64 x 64 pixels, a photograph, and a large one."""


@app.command("power-loss")
def power_loss(
    jobs: Annotated[
        int, typer.Option(min=1, help="Durable jobs; of the others, a fifth.")
    ] = 10_000,
    callers: Annotated[int, typer.Option(min=1, help="Jobs submitted at once.")] = 16,
    jobs_of_a_round: Annotated[int, typer.Option(min=1, help="Jobs before power is lost.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")] = 1,
) -> None:
    """Lose power while jobs are submitted: what of the accepted ones is on disk."""
    table = Table()
    for heading in (
        "appendfsync",
        "jobs",
        "rounds",
        "accepted",
        "lost",
        "oldest s",
        "altered",
        "kB",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for appendfsync, promise in WAYS:
        number = jobs if promise is Promise.DURABLE else max(1, jobs // 5)
        trial = Trial(promise, appendfsync, callers, jobs_of_a_round)
        with _counted(f"{appendfsync}, {promise}", number) as show:
            report = lose_power(trial, number, seed, show)
        counts = report.rounds, report.accepted, report.lost
        rest = f"{report.oldest_lost_s:.2f}", str(report.altered), f"{report.lost_bytes / 1e3:.0f}"
        table.add_row(appendfsync, promise.value, *map(str, counts), *rest)
    console().print(table)


@app.command()
def damage(
    places: Annotated[int, typer.Option(min=1, help="Damaged copies.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")] = 1,
) -> None:
    """Damage an append-only file: whether the server starts, and whose pictures it has."""
    with _counted("Damaged", places) as show:
        report = damage_files(places, seed, show)
    table = Table()
    table.add_column("outcome")
    table.add_column("", justify="right")
    table.add_row("started, everything there", str(report.whole))
    table.add_row("started, jobs or pictures missing", str(report.parts))
    for line, count in report.refused.most_common():
        table.add_row(f"refused: {line}", str(count))
    for code, count in report.errors.most_common():
        table.add_row(f"jobs with {code}", str(count))
    table.add_row("pictures with other bytes, without an error", str(report.altered))
    table.add_row("pictures of another job", str(report.foreign))
    console().print(table)


@app.command()
def failovers(
    count: Annotated[int, typer.Option(min=1, help="Primaries that are killed.")] = 20,
    callers: Annotated[int, typer.Option(min=1, help="Jobs submitted at once.")] = 4,
    down_after: Annotated[
        int,
        typer.Option(
            min=LEAST_DOWN_AFTER_MS, help="Milliseconds of silence after which a server is down."
        ),
    ] = Watch().down_after_ms,
    durable: Annotated[
        bool | None,
        typer.Option("--durable/--not-durable", help="Jobs of one kind; else of both."),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(help="New folder for files and logs of servers and sentinels, else deleted."),
    ] = None,
) -> None:
    """Kill the primary behind Sentinel while jobs are submitted: what of them is lost."""
    watch, reports = Watch(down_after_ms=down_after), dict[Promise, Report]()
    try:
        for promise in (Promise.NONE, Promise.DURABLE):
            if durable is not None and durable != (promise is Promise.DURABLE):
                continue
            folder = keep / promise.value if keep is not None else None
            with _counted(f"Failovers, {promise}", count) as show:
                reports[promise] = fail_over(promise, callers, watch, count, show, folder)
    finally:  # the first kind's figures stand also where the second one's trial ends early
        if reports:
            console().print(_failover_table(reports))


def _failover_table(reports: dict[Promise, Report]) -> Table:
    """Return a column for each kind of jobs."""
    table = Table()
    table.add_column("jobs")
    for promise in reports:
        table.add_column(promise.value, justify="right")
    rows: dict[str, Callable[[Report], str]] = {
        "primaries killed": lambda report: str(report.failovers),
        "replicas promoted": lambda report: str(report.promotions),
        "accepted": lambda report: f"{report.accepted:,}",
        "refused": lambda report: f"{report.refused:,}",
        "accepted and lost": lambda report: str(report.lost),
        "most of these in one failover": lambda report: str(report.most_lost),
        "with another picture": lambda report: str(report.altered),
        "none accepted for, median s": lambda report: f"{report.outage_p50_s:.1f}",
        "none accepted for, longest s": lambda report: f"{report.outage_max_s:.1f}",
    }
    for name, shown in rows.items():
        table.add_row(name, *map(shown, reports.values()))
    return table


@app.command()
def cost(
    seconds: Annotated[float, typer.Option(min=1, help="Length of each measurement.")] = 5.0,
) -> None:
    """Time submissions with and without durability, by 1, 4 and 16 callers at once."""
    table = Table()
    for heading in ("appendfsync", "jobs", "callers", "p50 ms", "p99 ms", "a second"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in time_submissions((1, 4, 16), seconds):
        times = f"{row.p50_ms:.1f}", f"{row.p99_ms:.1f}", f"{row.per_second:.0f}"
        table.add_row(row.appendfsync, row.promise.value, str(row.callers), *times)
    console().print(table)


@app.command()
def digests(
    jobs: Annotated[int, typer.Option(min=1, help="Jobs of each size.")] = 20,
) -> None:
    """Time the digests of a job beside its way through the queue, by the size of its pictures."""
    table = Table()
    for heading in ("bytes", "digests ms", "job ms", "share"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in time_digests(DIGESTED, jobs):
        times = f"{row.digests_ms:.4f}", f"{row.job_ms:.2f}", f"{row.digests_ms / row.job_ms:.2%}"
        table.add_row(f"{row.size:,}", *times)
    console().print(table)


@contextmanager
def _counted(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar meanwhile, which the function sets."""
    with progress(refresh=1) as bars:
        task = bars.add_task(what, total=total)

        def show(done: int) -> None:
            bars.update(task, completed=done)

        yield show

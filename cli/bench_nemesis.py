"""`anysr bench nemesis`: a service under faults by a seed, and what its callers saw of them."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cli.extras import needs
from cli.terminal import console, progress
from jobs.server_process import RedisUnavailableError

if TYPE_CHECKING:
    from benchmarks.nemesis.summary import Summary


def nemesis(
    seed: Annotated[int, typer.Option(min=0, help="Seed of faults and requests.")] = 1,
    minutes: Annotated[float, typer.Option(min=0.1, help="How long faults come.")] = 1.0,
    times: Annotated[
        float, typer.Option(min=0.1, help="How many times as many faults come.")
    ] = 1.0,
    longer: Annotated[float, typer.Option(min=0.1, help="How many times as long they last.")] = 1.0,
    only: Annotated[
        list[str], typer.Option(help="Name of a fault, as in the table; repeatable. Default: all.")
    ] = [],  # noqa: B006 - typer reads it and nothing writes to it
    until_broken: Annotated[
        bool, typer.Option("--until-broken", help="End at the first promise that is seen broken.")
    ] = False,
    keep: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the history and the processes' log. Default: a temporary one, which "
            "stays if a promise was broken."
        ),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write the summary here.")
    ] = None,
) -> None:
    """Kill, stop, cut off and starve two gateways, three workers and their Redis (Linux).

    The faults follow from the seed alone. Every answer to the callers is recorded, and checked
    while it goes on and at the end: the status is 1 if a job is lost, doubled or late, or a picture
    another's.
    """
    with needs("cpu"):
        from benchmarks.nemesis.faults import RATES, Kind, Plan
        from benchmarks.nemesis.run import run
    unknown = sorted(set(only) - set(RATES))
    if unknown:
        raise typer.BadParameter(f"no fault {unknown[0]!r}; there are {', '.join(RATES)}")
    kinds = frozenset(map(Kind, only or RATES))
    plan = Plan(seed, minutes, times, longer, kinds, until_broken)
    folder = keep or Path(tempfile.mkdtemp(prefix="anysr-history-"))
    with progress(refresh=1) as bars:
        task = bars.add_task("Seconds", total=60.0 * minutes)

        def show(seconds: float, jobs: int) -> None:
            bars.update(task, completed=seconds, description=f"{jobs} jobs; seconds")

        try:
            summary = run(plan, folder, show)
        except RedisUnavailableError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(2) from error
    _show(summary, folder)
    if keep is None and summary.passed:
        shutil.rmtree(folder)
    if json_file is not None:
        json_file.write_text(json.dumps(summary.to_dict(), indent=1) + "\n")
    if not summary.passed:
        raise typer.Exit(1)


def _show(summary: Summary, folder: Path) -> None:
    table = Table(title=f"seed {summary.seed}, {summary.minutes:g} min")
    for heading in ("fault", "times", "with a job in hand, or as it says"):
        table.add_column(heading, justify="right")
    for kind, times in summary.faults.items():
        table.add_row(kind, str(times), str(summary.in_hand.get(kind, "")))
    console().print(table)
    ends = ", ".join(f"{count} {end}" for end, count in summary.ends.items())
    typer.echo(f"{summary.jobs} jobs: {ends}; {summary.met:.1%} in time; {summary.again} run again")
    typer.echo(f"{summary.pictures} pictures and {summary.webhooks} webhooks were looked at")
    for violation in summary.found:
        typer.echo(f"BROKEN after {violation}")
    if summary.passed:
        typer.echo("every promise was kept")
    else:
        typer.echo(f"seed {summary.seed}; the history is {folder / 'history.jsonl'}", err=True)

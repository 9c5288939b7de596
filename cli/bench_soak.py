"""`anysr bench soak`: a service under a low load for hours, and what it keeps of that."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.extras import needs
from cli.terminal import line, progress
from jobs.server_process import RedisUnavailableError

REPORT_S = 600.0


def soak(
    folder: Annotated[Path, typer.Argument(help="New folder for samples, outcomes and reports.")],
    minutes: Annotated[float, typer.Option(min=0.1, help="How long, with four rests.")] = 120.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the requests.")] = 1,
    cores: Annotated[
        float, typer.Option(min=0.01, help="Processor time of the service that callers cause.")
    ] = 0.25,
    rest_s: Annotated[
        float, typer.Option(min=1, help="Rest at the end of each quarter; 150 s let all expire.")
    ] = 150.0,
) -> None:
    """Send a service of its own requests of all kinds, and sample what it has (Linux).

    Four quarters end with a rest, in which everything expires. The status is 1 if memory grows by
    more than 1 % an hour after the first quarter, if more stands after the last rest than after
    the first one, if a process died, or if an answer was wrong.
    """
    with needs("cpu"), needs("simulate"):
        from benchmarks.soak.plan import Plan
        from benchmarks.soak.run import run
        from benchmarks.soak.table import report as report_of
        from benchmarks.soak.verdict import verdict_of
        from benchmarks.soak.written import write_report
    try:
        plan = Plan(minutes, seed, cores, rest_s=rest_s)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    with progress(refresh=1) as bars:
        task = bars.add_task("Seconds", total=plan.seconds)

        def show(seconds: float, seen: int) -> None:
            bars.update(task, completed=seconds, description=f"{seen} requests; seconds")

        try:
            run(plan, folder, show, lambda: write_report(folder), REPORT_S)
        except FileExistsError as error:
            raise typer.BadParameter(f"{folder} has a run already") from error
        except RedisUnavailableError as error:
            line(str(error), error=True)
            raise typer.Exit(2) from error
    verdict = verdict_of(folder)
    line(report_of(verdict))
    if verdict.broken:
        raise typer.Exit(1)

"""`anysr bench webhooks`: whether webhooks survive a receiver that is down, and restarts."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.extras import needs
from cli.terminal import progress


def webhooks(
    minutes: Annotated[float, typer.Option(min=0.1, help="How long the receiver is down.")] = 10.0,
    jobs: Annotated[int, typer.Option(min=2, help="Number of jobs with a webhook.")] = 200,
) -> None:
    """Submit jobs whose receiver is down, and restart gateway and worker meanwhile.

    Their signatures are verified with the public library of Standard Webhooks. The status is 1
    unless every job's end arrived at least once.
    """
    with needs("test"):
        from benchmarks.webhooks import run
    with progress(refresh=1) as bars:
        task = bars.add_task("Delivered", total=jobs)
        report = run(minutes, jobs, lambda n: bars.update(task, completed=n))
    typer.echo(
        f"{report.delivered} of {report.jobs} delivered, {report.repeated} more than once, "
        f"{report.wrong} with a wrong signature; the last {report.last_s:.0f} s after the receiver "
        "was back"
    )
    if not report.passed:
        raise typer.Exit(1)

"""The unit of `--load` and `--loads`: what a running service serves by one network alone."""

from __future__ import annotations

import asyncio
from functools import partial

import typer
from rich.progress import Progress, TaskID

from scheduling.rungs import Rung

REQUESTS = 120
"""Requests by which it is measured, half a minute or less."""


def measured_unit(url: str, rung: Rung, workers: int, bars: Progress) -> float:
    """Return the requests a second that a service of so many workers serves by a rung alone, with
    twice as many callers. Raises BadParameter where it answers without a picture."""
    from benchmarks.served_rate import served_rate

    task = bars.add_task(f"what {rung.key} serves", total=REQUESTS)
    report = partial(_update, bars, task)
    try:
        return asyncio.run(served_rate(url, rung, 2 * workers, REQUESTS, report))
    except RuntimeError as error:
        raise typer.BadParameter(f"the unit of the load cannot be measured: {error}") from error


def _update(bars: Progress, task: TaskID, done: int) -> None:
    bars.update(task, completed=done)

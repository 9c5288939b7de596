"""`anysr bench mutations` and `anysr bench attacks`: a real service under hostile callers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cli.terminal import console, progress

if TYPE_CHECKING:
    from benchmarks.attacks.run import Row
    from benchmarks.mutations.run import Report

WIDTH = 110
"""Columns of the attacks' table, below which figures would be cut."""

Seed = Annotated[int, typer.Option(help="Seed of all mutations.")]
Workers = Annotated[int, typer.Option(min=1, help="Workers of the service.")]


def mutations(
    count: Annotated[int, typer.Option(min=1, help="Number of mutated requests.")] = 10_000,
    seed: Seed = 1,
    callers: Annotated[int, typer.Option(min=1, help="Requests at once.")] = 4,
    workers: Workers = 1,
    bound_s: Annotated[float, typer.Option(help="Seconds after which an answer is a hang.")] = 60.0,
    replay: Annotated[
        int | None, typer.Option(min=0, help="Send only the mutation of this number.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="With --replay: write the mutated picture here.")
    ] = None,
) -> None:
    """Send damaged pictures of all formats to a service that is started for them (Linux).

    The status is 1 if an answer is a server's error (other than 503 with Retry-After), an
    unreadable picture or a hang, if a worker died, or if a process grew by more than a fifth.
    """
    from benchmarks.mutations.run import run

    if replay is not None:
        _replay(replay, seed, workers, bound_s, save)
        return
    with progress(refresh=1) as bars:
        task = bars.add_task("Mutations", total=count)
        report = run(
            count, seed, callers, workers, bound_s, lambda n: bars.update(task, completed=n)
        )
    _show(report, count, seed)
    if not report.passed:
        raise typer.Exit(1)


def _replay(number: int, seed: int, workers: int, bound_s: float, save: Path | None) -> None:
    from benchmarks.mutations.request import drawn_request
    from benchmarks.mutations.run import replay

    request = drawn_request(seed, number)
    typer.echo(f"{number}: {request}")
    if save is not None:
        save.write_bytes(request.picture)
    answer = replay(number, seed, workers, bound_s)
    typer.echo(f"{answer.status} {answer.code} in {answer.seconds:.2f} s {answer.fault}".rstrip())
    if answer.fault:
        raise typer.Exit(1)


def _show(report: Report, count: int, seed: int) -> None:
    from benchmarks.mutations.run import MOST_GROWTH, described

    table = Table(title=f"{count} mutations, seed {seed}")
    for heading in ("status", "code or format", "answers"):
        table.add_column(heading, justify="right")
    for (status, code), number in report.counts.items():
        table.add_row(str(status), code, str(number))
    console().print(table)
    typer.echo(f"slowest answer: {report.slowest_s:.2f} s; workers lost: {report.lost_workers}")
    for name, (before, after) in report.memory.items():
        growth = f"{after / before:.2f} times; at most {MOST_GROWTH:g}"
        typer.echo(f"{name}: {before / 1e6:.0f} MB, at the end {after / 1e6:.0f} MB ({growth})")
    faults = report.faults
    lines = described((answer.number for answer in faults), seed)
    for answer, line in zip(faults, lines, strict=True):
        typer.echo(f"FAULT in {line}: {answer.fault}; --seed {seed} --replay {answer.number}")


def attacks(
    seconds: Annotated[float, typer.Option(min=1, help="Length of each attack.")] = 20.0,
    only: Annotated[
        list[str], typer.Option(help="Name of an attack; repeatable. Default: all.")
    ] = [],  # noqa: B006 - typer reads it and nothing writes to it
    workers: Workers = 1,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write the rows here.")
    ] = None,
) -> None:
    """Attack a service in one way at a time, and measure an honest caller meanwhile (Linux).

    The honest caller sends 64x64 JPEGs at x2, one after the other, each on a new connection.
    """
    from benchmarks.attacks.registry import ATTACKS
    from benchmarks.attacks.run import run_attacks

    unknown = sorted(set(only) - set(ATTACKS))
    if unknown:
        raise typer.BadParameter(f"no attack {unknown[0]!r}; there are {', '.join(ATTACKS)}")
    rows = []
    for row in run_attacks(only or list(ATTACKS), seconds, workers):
        rows.append(row)
        answers = ", ".join(f"{status} x {n}" for status, n in row.attempt.answers.items())
        typer.echo(f"{row.attack}: the attacker got {answers or 'no answer'}", err=True)
    wide = console()
    wide.width = max(wide.width, WIDTH)
    wide.print(_table(rows, seconds))
    if json_file:
        json_file.write_text(json.dumps([row.to_dict() for row in rows], indent=1) + "\n")


def _table(rows: list[Row], seconds: float) -> Table:
    from benchmarks.service_processes import GATEWAY, WORKER

    table = Table(
        title=f"{seconds:g} s each; an honest caller sends 64x64 JPEGs at x2; peak MB",
    )
    table.add_column("attack", no_wrap=True)
    headings = ("MB sent", "200", "5xx", "4xx", "none", "p50 ms", "p99 ms")
    for heading in (*headings, "gateway", "worker"):
        table.add_column(heading, justify="right")
    for row in rows:
        counts = (row.answered(2), row.answered(5), row.answered(4), row.answered(0))
        table.add_row(
            row.attack,
            f"{row.attempt.sent / 1e6:.1f}",
            *map(str, counts),
            f"{row.p50_ms:.0f}",
            f"{row.p99_ms:.0f}",
            *(f"{row.peak_bytes[name] / 1e6:.0f}" for name in (GATEWAY, WORKER)),
        )
    return table

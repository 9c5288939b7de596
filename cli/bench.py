"""`anysr bench`: measurements of networks, workers and a running service."""

from __future__ import annotations

import asyncio
import contextlib
import json
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.progress import Progress, TaskID
from rich.table import Table

from cli import (
    bench_durability,
    bench_nemesis,
    bench_rivals,
    bench_share,
    bench_soak,
    bench_webhooks,
    hostile,
)
from cli.arguments import check_service, check_writable, each, entries_of, scales_of
from cli.extras import needs
from cli.load_unit import measured_unit
from cli.terminal import console, progress
from models.catalog import SHIPPED
from scheduling.rungs import Rung
from scheduling.simulation.workload import ARRIVALS, Workload, closed_loop, draw, read_trace

app = typer.Typer(help="Measure networks, workers and a running service.", no_args_is_help=True)
app.command()(hostile.mutations)
app.command()(hostile.attacks)
app.command()(bench_webhooks.webhooks)
app.command()(bench_share.share)
app.command()(bench_rivals.rivals)
app.add_typer(bench_durability.app, name="durability")
app.command()(bench_nemesis.nemesis)
app.command()(bench_soak.soak)


@app.command()
def model(
    names: Annotated[str, typer.Option("--models", help="Comma-separated, or 'all'.")] = "all",
    scales: Annotated[str, typer.Option(help="Comma-separated.")] = "1.5,2,2.37,3,4",
    side: Annotated[int, typer.Option(min=8, max=4096, help="Input pixels a side.")] = 256,
    threads: Annotated[int, typer.Option(help="ONNX Runtime threads.")] = 2,
    repeats: Annotated[int, typer.Option(min=1, help="Timed runs of each.")] = 15,
    folder: Annotated[Path, typer.Option(help="Model folder.")] = SHIPPED,
) -> None:
    """Time each width relative to the widest, and the widest relative to its trunk.

    All run in turn in one process; the figures are medians of the ratios of neighbouring runs.
    """
    with needs("train"):
        from benchmarks.model import time_model
    wanted = scales_of(scales)
    for entry in entries_of(folder, None if names == "all" else names.split(",")):
        narrower = [w.width for w in entry.widths[:-1]]
        table = Table(title=f"{entry.name}, input {side}x{side}, {threads} threads, {repeats} runs")
        for heading in ("scale", "widest ms", "widest / trunk"):
            table.add_column(heading, justify="right")
        for width in narrower:
            table.add_column(f"{width:g} / widest", justify="right")
        for row in time_model(folder, entry, wanted, side, threads, repeats):
            ratios = (f"{row.over_widest[w]:.2f}" for w in narrower)
            over = "" if row.over_trunk is None else f"{row.over_trunk:.2f}"
            cells = (f"x{row.scale:g}", f"{row.widest_ms:.0f}", over)
            table.add_row(*cells, *ratios)
        console().print(table)


EQUAL_DB = 100.0
"""PSNR above which two pictures differ only by the order of sums."""


@app.command()
def engines(
    names: Annotated[
        str, typer.Option("--models", help="Comma-separated.")
    ] = "anysr-s,anysr-m,anysr-l",
    scales: Annotated[str, typer.Option(help="Comma-separated.")] = "1.5,2,3,4",
    side: Annotated[int, typer.Option(min=8, max=4096, help="Input pixels a side.")] = 128,
    threads: Annotated[int, typer.Option(min=1, help="Threads of a network.")] = 1,
    repeats: Annotated[int, typer.Option(min=1, help="Timed runs of each.")] = 7,
    folder: Annotated[Path, typer.Option(help="Model folder.")] = SHIPPED,
) -> None:
    """Time every runtime and precision that can run a model here, at its full width.

    All run in turn in one process. The ratio to ONNX Runtime in float32 is the median over
    neighbouring runs; the peak is that of a matrix product in the same precision.
    """
    with needs("train"):
        from benchmarks.engines import backends_of, load, peaks, time_engines
    entries = entries_of(folder, names.split(","))
    found = dict.fromkeys(b.precision for e in entries for b in backends_of(e, threads))
    peak = peaks(list(found), threads, repeats)
    for entry in entries:
        table = Table(title=f"{entry.name}, input {side}x{side}, threads: {threads}")
        for heading in ("", "scale", "ms/MP", "of onnx", "Gop/s", "of peak", "dB"):
            table.add_column(heading, justify="right", no_wrap=True)
        wanted = scales_of(scales)
        for row in time_engines(folder, entry, wanted, side, threads, repeats):
            part = f"{row.gflops / peak[row.backend.precision]:.0%}"
            rate = f"{row.ms_per_megapixel:,.0f}", f"{row.of_plain:.2f}", f"{row.gflops:.0f}"
            db = f"{row.db:.0f}" if row.db < EQUAL_DB else "equal"
            table.add_row(str(row.backend), f"x{row.scale:g}", *rate, part, db)
        console().print(table)
        for backend in backends_of(entry, threads):
            loaded = load(folder, entry.name, backend, threads)
            typer.echo(
                f"{backend}: all widths loaded in {loaded.seconds:.1f} s, "
                f"{loaded.mebibytes:.0f} MiB"
            )
    for precision, gflops in peak.items():
        typer.echo(f"peak of a matrix product in {precision.value}: {gflops:.0f} GFLOP/s")


@app.command()
def reference(
    names: Annotated[str, typer.Option("--models", help="Comma-separated.")] = "anysr-s,anysr-m",
    scales: Annotated[str, typer.Option(help="Comma-separated.")] = "2,3",
    side: Annotated[int, typer.Option(min=8, max=4096, help="Input pixels a side.")] = 128,
    threads: Annotated[int, typer.Option(min=1, help="Threads of a network.")] = 1,
    repeats: Annotated[int, typer.Option(min=1, help="Timed runs of each.")] = 3,
    folder: Annotated[Path, typer.Option(help="Model folder.")] = SHIPPED,
) -> None:
    """Time AnySR as released, in PyTorch, and our networks as a worker runs them."""
    with needs("train"):
        from benchmarks.reference import compare
    entries = entries_of(folder, names.split(","))
    table = Table(title=f"input {side}x{side}, threads: {threads}")
    for heading in ("", "scale", "ms", "times as fast"):
        table.add_column(heading, justify="right", no_wrap=True)
    wanted = scales_of(scales)
    for row in compare(folder, entries, wanted, side, threads, repeats):
        table.add_row(row.name, f"x{row.scale:g}", f"{row.ms:,.0f}", f"{row.times_as_fast:.1f}")
    console().print(table)


@app.command()
def heads(
    scales: Annotated[str, typer.Option(help="Comma-separated.")] = "2,4",
    side: Annotated[int, typer.Option(min=8, max=4096, help="Input pixels a side.")] = 48,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 1,
    repeats: Annotated[int, typer.Option(min=1, help="Timed runs of each.")] = 5,
) -> None:
    """Time the fast forms of implicit heads against the plain ones, and show their difference."""
    with needs("train"):
        from benchmarks.heads import time_heads
    table = Table(title=f"64 features of {side}x{side}, {threads} threads, {repeats} runs")
    for heading in ("head", "scale", "plain ms", "fast ms", "speed-up", "difference"):
        table.add_column(heading, justify="right")
    for row in time_heads(scales_of(scales), side, threads, repeats):
        times = f"{row.plain_ms:.0f}", f"{row.fast_ms:.0f}", f"{row.speed_up:.1f}x"
        table.add_row(row.head, f"x{row.scale:g}", *times, f"{row.difference:.0e}")
    console().print(table)


@app.command()
def memory(
    rungs: Annotated[
        str,
        typer.Option("--models", help="Comma-separated MODEL@WIDTH; 'lanczos': plain resampling."),
    ] = "anysr-s@0.25,lanczos",
    kinds: Annotated[
        str,
        typer.Option(
            help="Comma-separated: drawn, noise, grey, alpha, deep (16 bits), deep-alpha, palette."
        ),
    ] = "drawn,noise",
    formats: Annotated[str, typer.Option(help="Comma-separated.")] = "png,jpeg",
    megapixels: Annotated[
        float, typer.Option(min=0.001, max=1e4, help="Size of the output, made at x2.")
    ] = 100.0,
    threads: Annotated[int, typer.Option(min=0, help="Threads of a network; 0: all.")] = 0,
    folder: Annotated[Path, typer.Option(help="Model folder.")] = SHIPPED,
) -> None:
    """Measure the peak memory of a worker that makes one large picture (Linux).

    Each picture is made in a process of its own, with all models loaded as in a worker.
    """
    from benchmarks.peak_memory import Case, Kind, measure_peaks, source_side
    from jobs.formats import ImageFormat

    cases = [
        Case(kind, image_format, rung)
        for rung in each(rungs, Rung.parse, "--rungs")
        for kind in each(kinds, Kind, "--kinds")
        for image_format in each(formats, ImageFormat, "--formats")
    ]
    table = Table(title=f"{megapixels:g} megapixels at x2, in MB")
    held = "resting", "peak", "bound", "source", "result"
    for heading in ("", "kind", "format", *held, "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    side = source_side(round(megapixels * 1e6))
    for case, peak in measure_peaks(cases, side, threads, folder):
        bytes_of = peak.resting, peak.peak, peak.resting + peak.bound, peak.source, peak.result
        cells = (case.rung.key, case.kind, case.image_format)
        table.add_row(*cells, *(f"{b / 1e6:.0f}" for b in bytes_of), f"{peak.seconds:.1f}")
    console().print(table)


@app.command()
def overhead(
    requests: Annotated[int, typer.Option(min=1, help="Timed requests.")] = 200,
    url: Annotated[
        str | None, typer.Option(help="A running service; default: one is started.")
    ] = None,
) -> None:
    """Time everything but the network: a 64x64 JPEG in and out, one request at a time."""
    from benchmarks.overhead import time_overhead

    check_service(url)

    result = time_overhead(requests, url)
    table = Table(title=f"64x64 JPEG, x2, {requests} requests, one at a time (ms)")
    for heading in ("", "median", "p90", "p99"):
        table.add_column(heading, justify="right")
    for name, values in result.items():
        table.add_row(name, *(f"{v:.1f}" for v in values))
    console().print(table)


@app.command()
def price(
    rounds: Annotated[int, typer.Option(min=1, help="Timed rounds of each service.")] = 4,
    seconds: Annotated[float, typer.Option(help="Length of a round.")] = 10.0,
) -> None:
    """Compare the service with a plain FastAPI application: pictures per second, CPU time.

    64x64 JPEGs, x2, anysr-s at full width in float32 on both sides: two one-thread workers of ours
    and two threads of benchmarks/plain_service.py, at one caller and at four.
    """
    with needs("simulate"):
        from benchmarks.request_price import compare

    with progress(refresh=1) as bars:
        task = bars.add_task("Rounds", total=2 * (rounds + 1))
        prices, resting = compare(rounds, seconds, partial(_update, bars, task))
    table = Table(title=f"64x64 JPEG, x2, {rounds} rounds of {seconds:g} s; of plain in brackets")
    for heading in ("callers", "", "pictures/s", "CPU ms/picture", "median ms", "without network"):
        table.add_column(heading, justify="right")
    for row in prices:
        figures, ratios = row.figures, row.of_plain
        table.add_row(
            str(row.callers),
            row.service,
            f"{figures.pictures_per_s:.1f} ({ratios.pictures_per_s:.2f})",
            f"{figures.cpu_ms:.1f} ({ratios.cpu_ms:.2f})",
            f"{figures.latency_ms:.1f} ({ratios.latency_ms:.2f})",
            f"{figures.overhead_ms:.1f} ({ratios.overhead_ms:.2f})",
        )
    console().print(table)
    for name, megabytes in resting.items():
        typer.echo(f"{name} at rest: {megabytes:.0f} MB")


@app.command()
def sizes(
    count: Annotated[int, typer.Option(help="Pictures, each of another size.")] = 1000,
    smallest: Annotated[int, typer.Option(min=8, max=4096, help="Pixels a side.")] = 96,
    largest: Annotated[int, typer.Option(min=8, max=4096, help="Pixels a side.")] = 192,
) -> None:
    """Send pictures of many sizes to a service of one worker: its memory, and the slow requests
    (Linux).

    JPEGs at x2 by anysr-s at full width, one after another. Times are per input pixel, from the
    51st picture on.
    """
    from benchmarks.sizes import REPEATS, SLOW, WARMING, measure

    with progress(refresh=1) as bars:
        task = bars.add_task("Pictures", total=count)
        try:
            figures = measure(count, smallest, largest, partial(_update, bars, task))
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
    typer.echo(
        f"worker: {figures.warm_mb:.0f} MB after {WARMING} pictures, {figures.halfway_mb:.0f} "
        f"halfway, {figures.end_mb:.0f} at the end "
        f"({figures.end_mb / figures.warm_mb - 1:+.1%})"
    )
    for name, times in (("request", figures.whole), ("network", figures.network)):
        shown = ", ".join(f"{width}x{height}" for width, height in times.slow[:8]) or "none"
        typer.echo(
            f"{name}: {times.median_us:.2f} µs per pixel at the median, {times.slowest:.2f} times "
            f"that at most; above {SLOW:g} times: {len(times.slow)} ({shown}), again when sent "
            f"{REPEATS} more times: {len(times.again)}; {times.fixed_ms:.1f} ms without a pixel"
        )


@app.command()
def capacity(
    rungs: Annotated[str, typer.Option(help="MODEL@WIDTH, comma-separated.")] = (
        "anysr-s@1,anysr-m@1"
    ),
    sides: Annotated[str, typer.Option(help="Of square inputs in pixels, comma-separated.")] = (
        "128,256,512,1024"
    ),
    scales: Annotated[str, typer.Option(help="Comma-separated.")] = "2,3,4",
    seconds: Annotated[float, typer.Option(min=0.1, help="Of each row.")] = 4.0,
) -> None:
    """Count the pictures that a service of one worker makes in a second, by size and scale.

    JPEGs in and out over HTTP, two callers in closed loop, nothing narrowed.
    """
    from benchmarks.capacity import measure

    networks = each(rungs, Rung.parse, "--rungs")
    inputs, wanted = each(sides, int, "--sides"), scales_of(scales)
    table = Table(title="Pictures a second and core")
    for heading in ("", "input", "scale", "a second and core", "CPU ms"):
        table.add_column(heading, justify="right", no_wrap=True)
    with progress(refresh=1) as bars:
        task = bars.add_task("Rows", total=len(networks) * len(inputs) * len(wanted))
        for row in measure(networks, inputs, wanted, seconds, partial(bars.advance, task)):
            size = f"{row.side} x {row.side}"
            rate = f"{row.per_core:.2f}", f"{row.cpu_ms:,.0f}"
            table.add_row(row.rung.key, size, f"x{row.scale:g}", *rate)
    console().print(table)


@app.command()
def promises(
    tries: Annotated[
        int, typer.Option(help="Number of refusals, each with a second request.")
    ] = 100,
    url: Annotated[
        str | None, typer.Option(help="A running, idle service; default: one is started.")
    ] = None,
) -> None:
    """Send a budget that is too small, then the smallest that the refusal names."""
    from benchmarks.local_service import running_service
    from benchmarks.smallest_budget import keep_promises

    check_service(url)

    with contextlib.ExitStack() as stack:
        base = url or stack.enter_context(running_service())
        bars = stack.enter_context(progress())
        task = bars.add_task("Tries", total=tries)
        result = keep_promises(base, tries, partial(_update, bars, task))
    median, largest = result.refused_ms
    typer.echo(f"refused in {median:.1f} ms at the median, {largest:.1f} ms at most")
    typer.echo(f"smallest budget kept in {result.kept:.0%}, a picture in {result.pictures:.0%}")


@app.command()
def load(
    url: Annotated[
        str | None, typer.Option(help="A running service; default: one is started.")
    ] = None,
    workers: Annotated[int, typer.Option(help="Workers of the service that is started.")] = 2,
    rate: Annotated[
        float, typer.Option(min=0.001, max=1e6, help="Mean requests per second.")
    ] = 2.0,
    load_factor: Annotated[
        float | None,
        typer.Option(
            "--load",
            min=0.001,
            max=1e6,
            help="Instead of the rate: a multiple of what --load-of serves here, measured first "
            "by twice as many callers as --workers.",
        ),
    ] = None,
    load_of: Annotated[
        str, typer.Option(help="The network that is the unit of --load: MODEL@WIDTH.")
    ] = "anysr-m@1",
    seconds: Annotated[
        float, typer.Option(min=0.001, max=1e6, help="How long requests are sent.")
    ] = 60.0,
    arrivals: Annotated[str, typer.Option(help=", ".join(ARRIVALS))] = "gamma4",
    callers: Annotated[
        int,
        typer.Option(
            min=0,
            help="Closed loop: number of callers, each of whom waits for an answer before the "
            "next request; rate x seconds requests in all.",
        ),
    ] = 0,
    think_ms: Annotated[
        float, typer.Option(min=0, help="Mean time of a caller between answer and next request.")
    ] = 0.0,
    budgets: Annotated[str, typer.Option(help="Smallest and largest budget in ms.")] = "300,3000",
    trace: Annotated[
        Path | None,
        typer.Option(help="CSV: arrival_ms[,width,height,scale,budget_ms]; instead of the above."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of all random numbers.")] = 1,
    parameter: Annotated[
        list[str], typer.Option(help="NAME=VALUE sent with each request; repeatable.")
    ] = [],  # noqa: B006 - typer reads it and nothing writes to it
    form: Annotated[
        str | None,
        typer.Option(
            help="PATH:FIELD of another service that accepts the picture as this form field."
        ),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write the result here.")
    ] = None,
    samples_file: Annotated[
        Path | None, typer.Option("--samples", help="Also write each request here, as CSV.")
    ] = None,
) -> None:
    """Send load to a service, and compare its promises with what the client measures."""
    with needs("simulate"):
        from benchmarks.load import AnysrEndpoint, FormEndpoint, send, summarise, write_samples
    from benchmarks.local_service import running_service

    drawn = partial(_workload, trace, arrivals, seconds, _Callers(callers, think_ms), budgets, seed)
    (unit,) = each(load_of, Rung.parse, "--load-of")
    if load_factor is not None and (trace or form or callers):
        raise typer.BadParameter("--load is a rate of this service: leave out trace, form, callers")
    drawn(rate)  # so that a wrong argument ends the command before a service is started
    parameters = dict(_pair(p, "=") for p in parameter)
    check_writable(json_file, samples_file)
    check_service(url)
    endpoint = FormEndpoint(*_pair(form, ":"), parameters) if form else AnysrEndpoint(parameters)
    with contextlib.ExitStack() as stack:
        base = url or stack.enter_context(running_service(workers))
        # Refreshed rarely, because other work of the client delays its requests.
        bars = stack.enter_context(progress(refresh=1))
        if load_factor is not None:
            rate = load_factor * measured_unit(base, unit, workers, bars)
        workload = drawn(rate)
        task = bars.add_task("Requests answered", total=len(workload))
        update = partial(_update, bars, task)
        samples = asyncio.run(send(base, workload, endpoint, update))
    summary = summarise(samples)
    title = f"{summary.requests} requests in {summary.seconds:.0f} s"
    if load_factor is not None:
        title += f", {load_factor:g} times what {unit.key} serves: {rate:.3g} a second"
    table = Table(title=title, show_header=False)
    for name, value in summary.to_dict().items():
        table.add_row(name, _shown(value))
    console().print(table)
    if json_file:
        json_file.write_text(json.dumps(summary.to_dict(), indent=1) + "\n")
    if samples_file:
        write_samples(samples, samples_file)


@app.command()
def alerts(
    normal_minutes: Annotated[
        float, typer.Option(help="Minutes of normal load, during which no alert may fire; 0: none.")
    ] = 10.0,
    fire: Annotated[bool, typer.Option(help="Whether to create each alert's condition.")] = True,
    compose: Annotated[
        bool,
        typer.Option(help="Use the stack of docker-compose.yml, built from this tree."),
    ] = False,
) -> None:
    """Create each alert's condition under Prometheus, then send normal load without alerts.

    The status is 1 if an alert did not fire, or if one fired under normal load.
    """
    with needs("test"):
        from benchmarks.alerts import fire_all, run_normal_load
        from benchmarks.checkout import CheckoutMissing
        from benchmarks.compose import EngineMissing
        from benchmarks.monitored.configuration import deployed
        from benchmarks.monitored.processes import PrometheusMissing, run_processes
        from benchmarks.monitored.stack import build_stack

    try:
        deployed()
        start = build_stack() if compose else run_processes
        fired = fire_all(start, typer.echo) if fire else []
        seconds = 60 * normal_minutes
        normal = run_normal_load(start, seconds, typer.echo) if seconds else None
    except (CheckoutMissing, EngineMissing, PrometheusMissing) as error:
        raise typer.BadParameter(str(error)) from error
    if normal is not None:
        names = ", ".join(sorted(normal.fired)) or "none"
        typer.echo(
            f"normal load for {normal.seconds:.0f} s, {normal.requests} requests, "
            f"{normal.pictures} pictures: {names}"
        )
    if any(one.after_s is None for one in fired) or (normal is not None and normal.fired):
        raise typer.Exit(1)


def _update(bars: Progress, task: TaskID, done: int) -> None:
    bars.update(task, completed=done)


class _Callers(NamedTuple):
    """A closed loop of this many callers; an open loop for 0."""

    number: int
    think_ms: float


def _workload(
    trace: Path | None,
    arrivals: str,
    seconds: float,
    callers: _Callers,
    budgets: str,
    seed: int,
    rate: float,
) -> Workload:
    try:
        if trace is not None:
            return read_trace(trace, seed)
        low, high = (float(part) for part in budgets.split(","))
        count = max(1, round(rate * seconds))
        if callers.number:
            return closed_loop(count, *callers, budgets_ms=(low, high), seed=seed)
        return draw(count, rate, ARRIVALS[arrivals], budgets_ms=(low, high), seed=seed)
    except KeyError:
        raise typer.BadParameter(f"unknown arrivals {arrivals!r}: {', '.join(ARRIVALS)}") from None
    except (OSError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error


def _pair(text: str, separator: str) -> tuple[str, str]:
    left, found, right = text.partition(separator)
    if not (left and found):
        raise typer.BadParameter(f"{text!r} must have the form A{separator}B")
    return left, right


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_shown(v)}" for k, v in value.items())
    return f"{value:.3f}" if isinstance(value, float) else str(value)

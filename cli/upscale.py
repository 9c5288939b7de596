"""`anysr upscale`: files and folders, in this process or through a service."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli.extras import needs
from jobs.errors import AnysrError, InvalidRequest
from jobs.formats import SUFFIXES, ImageFormat, labels, lossless_labels, lossy_labels
from jobs.job import OnMiss

if TYPE_CHECKING:
    from cli.upscalers import Outcome, Upscaler
    from scheduling.request import UpscaleRequest


def upscale(
    inputs: Annotated[list[Path], typer.Argument(help=f"Image files ({labels()}) and folders.")],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="A file (for one input) or a folder, which is created if missing.",
        ),
    ],
    scale: Annotated[float | None, typer.Option(help="Any real number from 1 to 8.")] = None,
    width: Annotated[int | None, typer.Option(help="Output width in pixels.")] = None,
    height: Annotated[int | None, typer.Option(help="Output height in pixels.")] = None,
    budget_ms: Annotated[
        float | None,
        typer.Option(help="Latency budget of each picture; default: none, or that of the service."),
    ] = None,
    on_miss: Annotated[
        OnMiss, typer.Option(help="What to do if the budget cannot be met.")
    ] = OnMiss.DEGRADE,
    model: Annotated[str | None, typer.Option(help="A model's name.")] = None,
    anysr_width: Annotated[float | None, typer.Option(help="Network width to run at.")] = None,
    strength: Annotated[
        str | None,
        typer.Option(
            metavar="auto|0..1",
            help="How much compression damage to clean up; default: auto, by the compression in "
            "the file's header.",
        ),
    ] = None,
    format_: Annotated[
        ImageFormat | None,
        typer.Option("--format", help="Output format; default: that of the input."),
    ] = None,
    quality: Annotated[int | None, typer.Option(help=f"1 to 100, for {lossy_labels()}.")] = None,
    lossless: Annotated[
        bool | None,
        typer.Option(
            help=f"Store {lossless_labels()} without loss; default: as the input is, in its own "
            "format.",
        ),
    ] = None,
    server: Annotated[
        str | None, typer.Option(help="A running service, as http://host:port.")
    ] = None,
) -> None:
    """Upscale pictures to any real scale.

    A file that fails is reported, and the others are still processed; the exit status is then 1.
    """
    one_file = output.suffix.lower() in SUFFIXES and not output.is_dir()
    if one_file and format_ is None:
        format_ = SUFFIXES[output.suffix.lower()]
    pairs = [
        ("scale", scale), ("width", width), ("height", height), ("latency_budget_ms", budget_ms),
        ("on_miss", on_miss), ("model", model), ("anysr_width", anysr_width),
        ("strength", strength), ("format", format_), ("quality", quality),
        ("lossless", lossless),
    ]  # fmt: skip
    files = list(_files(inputs))
    if one_file and len(files) != 1:
        raise typer.BadParameter(f"{output} is one file, but there are {len(files)} inputs")
    try:
        upscaler = _upscaler(server, _request(pairs))
    except AnysrError as error:
        raise typer.BadParameter(error.detail) from error
    with contextlib.closing(upscaler):
        complete = _run(upscaler, files, output, one_file)
    if not complete:
        raise typer.Exit(1)


def _request(pairs: Sequence[tuple[str, object]]) -> UpscaleRequest:
    from scheduling.request import parse_request

    return parse_request((name, str(value)) for name, value in pairs if value is not None)


def _upscaler(server: str | None, wanted: UpscaleRequest) -> Upscaler:
    with needs("cpu"):
        from cli.upscalers import LocalUpscaler, RemoteUpscaler
    return RemoteUpscaler(server, wanted) if server else LocalUpscaler(wanted)


def _files(inputs: list[Path]) -> Iterator[tuple[Path, Path]]:
    """Yield (file, path below the output folder); folders are searched recursively."""
    for path in inputs:
        if path.is_dir():
            found = sorted(f for f in path.rglob("*") if f.suffix.lower() in SUFFIXES)
            yield from ((file, file.relative_to(path)) for file in found)
        elif path.is_file():
            yield path, Path(path.name)
        else:
            raise typer.BadParameter(f"there is no {path}")


def _run(upscaler: Upscaler, files: list[tuple[Path, Path]], output: Path, one_file: bool) -> bool:
    """Upscale all files with a progress bar; return whether all succeeded."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    )  # fmt: skip
    failed = 0
    with Progress(*columns) as progress:
        task = progress.add_task("Upscaling", total=len(files))
        for file, place in files:
            try:
                outcome = upscaler.upscale(file.read_bytes())
                target = output if one_file else _target(output / place, outcome)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(outcome.picture)
                progress.console.print(f"{file} -> {target}: {outcome.summary}", soft_wrap=True)
            except (AnysrError, OSError) as error:
                failed += 1
                progress.console.print(f"[red]{file}: {_words(error)}", soft_wrap=True)
            progress.advance(task)
    return failed == 0


def _target(path: Path, outcome: Outcome) -> Path:
    """Return the output path, with the suffix of the picture's format."""
    if SUFFIXES.get(path.suffix.lower()) is outcome.format:
        return path
    return path.with_suffix(outcome.format.facts.suffixes[0])


def _words(error: AnysrError | OSError) -> str:
    if isinstance(error, InvalidRequest):
        return f"{error.detail} (see anysr upscale --help)"
    return error.detail if isinstance(error, AnysrError) else str(error)

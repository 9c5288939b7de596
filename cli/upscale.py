"""`anysr upscale`: files and folders, in this process or through a service."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from cli.extras import needs
from cli.sentences import FAILED, WRONG_USAGE, fail
from cli.terminal import line, shown
from jobs.errors import AnysrError
from jobs.formats import WRITTEN, ImageFormat, labels, lossless_labels, lossy_labels
from jobs.job import MetadataChoice, OnMiss

if TYPE_CHECKING:
    from cli.upscaling.batch import Counts
    from cli.upscaling.preparation import Prepared
    from cli.upscaling.upscaler import Upscaler
    from scheduling.request import UpscaleRequest


def _written(name: str) -> ImageFormat:
    if name not in WRITTEN:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(WRITTEN)}.")
    return ImageFormat(name)


def upscale(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help=f"Image files ({labels()}), folders with all below them, patterns such as "
            "'*.png', or - for standard input."
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            help="A folder, which is created if missing; for one input a file, or - for standard "
            "output.",
        ),
    ],
    scale: Annotated[float | None, typer.Option(help="Any real number from 1 to 8.")] = None,
    width: Annotated[int | None, typer.Option(help="Output width in pixels.")] = None,
    height: Annotated[int | None, typer.Option(help="Output height in pixels.")] = None,
    budget_ms: Annotated[
        float | None,
        typer.Option(help="Latency budget of each picture; default: the best network runs."),
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
        typer.Option(
            "--format",
            parser=_written,
            metavar=f"[{'|'.join(WRITTEN)}]",
            help="Output format; default: that of the input, PNG for GIF and BMP, JPEG for HEIC.",
        ),
    ] = None,
    quality: Annotated[int | None, typer.Option(help=f"1 to 100, for {lossy_labels()}.")] = None,
    metadata: Annotated[
        MetadataChoice,
        typer.Option(
            help="What to take over of a file's metadata: all that stays true; author, copyright, "
            "licence and resolution; or nothing."
        ),
    ] = MetadataChoice.COPYRIGHT,
    lossless: Annotated[
        bool | None,
        typer.Option(
            help=f"Store {lossless_labels()} without loss; default: as the input is, in its own "
            "format.",
        ),
    ] = None,
    frame: Annotated[
        int | None,
        typer.Option(help="Which frame of an animated picture, or page of a TIFF; 0 is the first."),
    ] = None,
    background: Annotated[
        str | None,
        typer.Option(
            metavar="RRGGBB",
            help="What transparency is flattened on for JPEG; default: ffffff, white.",
        ),
    ] = None,
    server: Annotated[
        str | None, typer.Option(help="A running service, as http://host:port.")
    ] = None,
    skip_existing: Annotated[
        bool,
        typer.Option("--skip-existing", help="Make only the results that do not exist yet."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results that exist, but never an input.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be made, and make nothing.")
    ] = False,
) -> None:
    """Upscale pictures to any real scale.

    Nothing runs if a result would take the place of an input, of another result, or of any file
    that exists; see --skip-existing and --overwrite. A picture that fails is reported, and the
    others are still made. Results are written whole or not at all, so after Ctrl-C the same command
    with --skip-existing goes on.

    Exit codes: 0, every picture was made or skipped; 1, some failed; 2, wrong usage, and nothing
    was made; 130, interrupted by Ctrl-C.
    """
    pairs = [
        ("scale", scale), ("width", width), ("height", height), ("latency_budget_ms", budget_ms),
        ("on_miss", on_miss), ("model", model), ("anysr_width", anysr_width),
        ("strength", strength), ("quality", quality), ("lossless", lossless),
        ("metadata", metadata), ("frame", frame), ("background", background),
    ]  # fmt: skip
    with _refusals():
        prepared = _prepared(inputs, output, format_, skip_existing, overwrite)
        wanted = _request([*pairs, ("format", prepared.format)])
    if dry_run:
        from cli.upscaling.preparation import say_what_would_be_made

        say_what_would_be_made(prepared)
        return
    counts = _carried_out(prepared, wanted, server, overwrite)
    if counts.failed or counts.left:
        raise typer.Exit(FAILED)


def _prepared(
    inputs: Sequence[str],
    output: str,
    image_format: ImageFormat | None,
    skip: bool,
    overwrite: bool,
) -> Prepared:
    from cli.upscaling.plan import Existing
    from cli.upscaling.preparation import prepare
    from cli.upscaling.refusal import Refusal

    if skip and overwrite:
        raise Refusal(["--skip-existing and --overwrite exclude each other"])
    existing = Existing.SKIP if skip else Existing.REPLACE if overwrite else Existing.REFUSE
    return prepare(inputs, output, image_format, existing)


def _request(pairs: Sequence[tuple[str, object]]) -> UpscaleRequest:
    from scheduling.request import parse_request

    return parse_request((name, str(value)) for name, value in pairs if value is not None)


def _carried_out(
    prepared: Prepared, wanted: UpscaleRequest, server: str | None, overwrite: bool
) -> Counts:
    """Make all pictures, and say what became of them; a signal ends the command with its code."""
    from cli.upscaling.batch import Batch, Counts, Signalled, stopped_by_signals
    from cli.upscaling.preparation import say_what_is_left_out
    from cli.upscaling.upscaler import ServiceGone

    plan = prepared.plan
    counts = Counts(len(plan.skipped), len(prepared.sources.unread), left=len(plan.steps))
    say_what_is_left_out(prepared)
    try:
        with stopped_by_signals(), _without_warnings():
            if plan.steps:
                with contextlib.closing(_upscaler(server, wanted)) as upscaler:
                    results = prepared.results(overwrite)
                    Batch(upscaler, results, counts, prepared.to_stdout).run(plan)
    except ServiceGone as error:
        line(shown(str(error)), error=True)
    except Signalled as stopped:
        line(f"Interrupted: {counts.summary}; --skip-existing goes on from here.", error=True)
        raise typer.Exit(stopped.exit_code) from None
    line(counts.summary, error=prepared.to_stdout)
    return counts


def _upscaler(server: str | None, wanted: UpscaleRequest) -> Upscaler:
    with _refusals():
        if server is not None:
            from cli.upscaling.remote import RemoteUpscaler

            return RemoteUpscaler(server, wanted)
        with needs("cpu"):
            from cli.upscaling.local import LocalUpscaler
        return LocalUpscaler(wanted)


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """Hide log lines for operators, such as that a faster engine was not exact enough."""
    log = logging.getLogger("anysr")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """End a command that cannot be meant so with its reasons; nothing has run by then."""
    from cli.upscaling.refusal import Refusal

    try:
        yield
    except Refusal as error:
        fail(str(error), WRONG_USAGE, error)
    except AnysrError as error:
        fail(error.detail, WRONG_USAGE, error)

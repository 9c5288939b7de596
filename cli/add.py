"""`anysr add`: a network of another maker into a model folder."""

from __future__ import annotations

import contextlib
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.extras import needs
from models.adapters.record import MOST_SIDE, Colours
from models.catalog import (
    CATALOG_FILE,
    CatalogError,
    ModelEntry,
    WidthEntry,
    describe,
    one_line_reason,
    read_catalog,
    register,
)
from models.spec import NetworkSpec
from scheduling.rungs import FLOOR

if TYPE_CHECKING:
    from models.probing.probe import Findings

LARGEST_SCALE = 8.0
BICUBIC = "bicubic"
"""What `anysr evaluate` compares with."""
FOREIGN = NetworkSpec("onnx")
"""In the catalog, of a graph whose layers are not described anywhere else."""
NAMES = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
"""Of models: they are parts of file names, of URLs and of metrics."""


def add(
    graph: Annotated[
        Path, typer.Argument(help="An ONNX file; weights in other files lie in its folder.")
    ],
    name: Annotated[str, typer.Option(help="Name in the catalog.")],
    folder: Annotated[Path, typer.Option(help="Model folder to write to.")],
    description: Annotated[str, typer.Option(help="One line for GET /models.")] = "",
    licence: Annotated[str, typer.Option(help="Licence of the weights.")] = "unknown",
    scale: Annotated[
        int | None, typer.Option(min=2, max=8, help="Its scale; default: found.")
    ] = None,
    output_name: Annotated[
        str | None, typer.Option(help="The output to use, if there are several.")
    ] = None,
    colours: Annotated[
        Colours | None, typer.Option(help="Its channels; default: rgb, of one channel y.")
    ] = None,
    range_: Annotated[
        float | None,
        typer.Option("--range", min=0, help="Its number for white: 1, 255, ...; default: found."),
    ] = None,
    output_range: Annotated[
        float | None, typer.Option(min=0, help="The same of its output; default: found.")
    ] = None,
    mean: Annotated[
        str, typer.Option(help="Subtracted from the input: one number, or one per channel.")
    ] = "0",
    std: Annotated[str, typer.Option(help="Divides the input, likewise.")] = "1",
    multiple: Annotated[
        int | None, typer.Option(min=1, max=64, help="Its sides are multiples; default: found.")
    ] = None,
    height: Annotated[
        int | None,
        typer.Option(min=8, max=MOST_SIDE, help="The only height; default: as declared."),
    ] = None,
    width: Annotated[
        int | None, typer.Option(min=8, max=MOST_SIDE, help="The only width; default: as declared.")
    ] = None,
    halo: Annotated[
        int | None,
        typer.Option(min=0, max=512, help="Input pixels that one reaches; default: found."),
    ] = None,
    ladder: Annotated[
        bool,
        typer.Option(
            "--ladder",
            help="Let the service choose it by itself, once its quality is measured; else only "
            "requests that name it get it.",
        ),
    ] = False,
    on_demand: Annotated[
        bool, typer.Option(help="Load it at its first request, not at the start of a worker.")
    ] = False,
    seconds: Annotated[float, typer.Option(min=1, help="Longest time of all tests.")] = 600.0,
) -> None:
    """Add an ONNX upscaler of one scale, such as an export of Real-ESRGAN or SwinIR, to a folder.

    Drawn pictures are run through it, in a process of its own, to find its scale, sizes, numbers,
    reach and memory. Nothing is written if it cannot be served.
    """
    with needs("train"):
        from cli.probing import probe_file
        from models.probing.probe import Stated
        from models.probing.refusal import NotServable
    _check_place(graph, name, folder)
    stated = Stated(
        scale=scale,
        output=output_name,
        colours=colours,
        range=range_,
        output_range=output_range,
        mean=_numbers("--mean", mean),
        std=_numbers("--std", std),
        multiple=multiple,
        height=height,
        width=width,
        halo=halo,
    )
    written = folder / f"{name}.onnx.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        findings = probe_file(graph, written, stated, seconds, typer.echo)
        entry = entered(written, folder, name, description or f"{graph.name}.", licence, findings)
        register(folder, entry.model_copy(update={"in_ladder": ladder, "on_demand": on_demand}))
    except NotServable as refusal:
        typer.echo(f"{graph} cannot be served. {refusal}", err=True)
        raise typer.Exit(1) from refusal
    except CatalogError as error:
        raise typer.BadParameter(one_line_reason(error)) from error
    except OSError as error:
        raise typer.BadParameter(f"cannot write to {folder}: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            written.unlink(missing_ok=True)
    typer.echo(
        f"{name} is in {folder}; measure it with: anysr evaluate {name} --models {folder} --data "
        "B100 --record B100"
    )


def _check_place(graph: Path, name: str, folder: Path) -> None:
    """Raise BadParameter for what can be refused before minutes of tests."""
    if not re.fullmatch(NAMES, name) or name in (FLOOR.model, BICUBIC):
        raise typer.BadParameter(
            f"the name {name!r} must be 1 to 64 letters, digits, dots, dashes or underscores, "
            f"begin with a letter or digit, and not be {FLOOR.model} or {BICUBIC}"
        )
    if not graph.is_file():
        raise typer.BadParameter(f"there is no file {graph}")
    try:
        known = read_catalog(folder).models if (folder / CATALOG_FILE).exists() else ()
    except CatalogError as error:
        raise typer.BadParameter(one_line_reason(error)) from error
    if any(entry.name == name and entry.adapter is None for entry in known):
        raise typer.BadParameter(f"{name} in {folder} is a model of another kind; take a new name")


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in (1, 3) or not all(map(math.isfinite, numbers)):
        raise typer.BadParameter(f"{option} must be one number, or three with commas, got {text!r}")
    return numbers


def entered(
    written: Path, folder: Path, name: str, description: str, licence: str, findings: Findings
) -> ModelEntry:
    """Return the catalog's entry, with the graph under a name of its own: workers that start
    meanwhile find either the old file or the new one."""
    found = describe(written)
    graph = folder / f"{name}-{found.sha256[:12]}.onnx"
    written.replace(graph)
    artifact = found.model_copy(update={"file": graph.name})
    adapter = findings.adapter
    width = WidthEntry(width=1.0, channels=adapter.colours.channels, onnx=artifact)
    return ModelEntry(
        name=name,
        description=description,
        licence=licence,
        network=FOREIGN,
        min_scale=1.0,
        max_scale=LARGEST_SCALE,
        fixed_scale=adapter.scale,
        trained_scales=(float(adapter.scale), float(adapter.scale)),
        halo=findings.halo,
        rim=findings.rim,
        widths=(width,),
        weights=artifact,
        adapter=adapter,
    )

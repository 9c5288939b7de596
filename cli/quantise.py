"""`anysr quantise`: int8 trunks for shipped models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.extras import needs
from cli.terminal import progress
from models.catalog import SHIPPED, CatalogError, Int8Entry, describe, enter, read_catalog


def quantise(
    model: Annotated[str, typer.Argument(help="Name in the catalog.")],
    data: Annotated[list[Path], typer.Option(help="Folder of training photographs; repeatable.")],
    models: Annotated[Path, typer.Option(help="Model folder.")] = SHIPPED,
) -> None:
    """Write int8 trunks of a model's widths, for processors that are fast in 8 bits.

    The ranges of activations are measured on the photographs and on drawings, which takes minutes.
    Afterwards measure the loss: anysr evaluate MODEL --precision int8 --record.
    """
    with needs("train"):
        import onnx

        from models.quantisation import quantise as quantised
        from models.quantisation import samples
        from models.training.dataset import list_images
    try:
        entry = read_catalog(models).get(model)
        files = list_images(data)
    except (CatalogError, KeyError, FileNotFoundError) as error:
        raise typer.BadParameter(f"{model} cannot be quantised: {error}") from error
    if any(width.trunk is None for width in entry.widths):
        raise typer.BadParameter(f"{model} has no trunk that can run in 8 bits")
    shown = samples(files)
    widths = []
    with progress() as bars:
        for width in bars.track(entry.widths, description="Quantising"):
            assert width.trunk is not None  # for the type checker
            made = quantised(models / width.trunk.file, shown)
            path = models / f"{model}-{width.channels}-int8.onnx"
            onnx.save(made.graph, path)
            typer.echo(f"{path.name}: {made.layers} of {made.of} layers in int8")
            int8 = Int8Entry(onnx=describe(path))
            widths.append(width.model_copy(update={"int8": int8}))
    enter(models, entry.model_copy(update={"widths": tuple(widths)}))
    typer.echo(
        f"Measure it with: anysr evaluate {model} --precision int8 --record \N{HORIZONTAL ELLIPSIS}"
    )

"""`anysr quantise`: int8 trunks for shipped models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.arguments import entries_of
from cli.extras import needs
from cli.terminal import progress
from models.catalog import SHIPPED, Int8Entry, describe, register, verified
from models.whole_file import written


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

        from models.photographs import list_images
        from models.quantisation import quantise as quantised
        from models.quantisation import samples
    (entry,) = entries_of(models, [model])
    try:
        files = list_images(data)
    except FileNotFoundError as error:
        raise typer.BadParameter(str(error)) from error
    if any(width.trunk is None for width in entry.widths):
        raise typer.BadParameter(f"{model} has no trunk that can run in 8 bits")
    verified(models, entry.weights)
    seen = samples(files)
    widths = []
    with progress() as bars:
        for width in bars.track(entry.widths, description="Quantising"):
            assert width.trunk is not None  # for the type checker
            made = quantised(verified(models, width.trunk), seen)
            path = models / f"{model}-{width.channels}-int8.onnx"
            with written(path) as partial:
                onnx.save(made.graph, partial)
            typer.echo(f"{path.name}: {made.layers} of {made.of} layers in int8")
            int8 = Int8Entry(onnx=describe(path))
            widths.append(width.model_copy(update={"int8": int8}))
    register(models, entry.model_copy(update={"widths": tuple(widths)}))
    typer.echo(
        f"Measure it with: anysr evaluate {model} --precision int8 --record \N{HORIZONTAL ELLIPSIS}"
    )

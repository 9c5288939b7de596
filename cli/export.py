"""`anysr export`: trained weights to served artifacts and a catalog entry."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.arguments import entries_of, fractions_of
from cli.extras import needs
from cli.sentences import FAILED, fail
from models.catalog import CATALOG_FILE, SHIPPED, register
from models.wrong_file import WrongFile


def export(
    weights: Annotated[Path, typer.Argument(help="A weights.safetensors of `anysr train`.")],
    name: Annotated[str, typer.Option(help="Name in the catalog.")],
    description: Annotated[str, typer.Option(help="One line for GET /models.")],
    folder: Annotated[Path, typer.Option(help="Model folder to write to.")] = SHIPPED,
    by_name_only: Annotated[
        bool,
        typer.Option(help="Run it only when a caller names it, as for another kind of pictures."),
    ] = False,
    on_demand: Annotated[
        bool, typer.Option(help="Load it at its first request, not at the start of a worker.")
    ] = False,
    half: Annotated[
        bool, typer.Option(help="Store the weights as float16: half the bytes, same arithmetic.")
    ] = False,
    widths: Annotated[str, typer.Option(help="Comma-separated fractions, or 'all'.")] = "all",
    torchscript: Annotated[
        bool, typer.Option(help="Also write TorchScript, for ANYSR_RUNTIME=torchscript.")
    ] = False,
) -> None:
    """Export a network to ONNX (one graph per width over one weights file) and check it.

    If the outputs differ from the eager network's, the export fails and the catalog stays as it is.
    """
    with needs("train"):
        from models.export import ExportError, export_model
    chosen = fractions_of(widths)
    if (folder / CATALOG_FILE).exists():
        entries_of(folder, None)  # a broken catalog is reported before the export
    try:
        entry = export_model(
            weights, folder, name, description, torchscript, half, chosen, typer.echo
        )
    except WrongFile:
        raise
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    except ExportError as error:
        fail(f"Export failed: {error}", FAILED, error)
    served = {"in_ladder": not (by_name_only or on_demand), "on_demand": on_demand}
    register(folder, entry.model_copy(update=served))
    typer.echo(f"{name} is in {folder}; measure it with: anysr evaluate {name} --record …")

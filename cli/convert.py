"""`anysr convert`: public checkpoints to our weights, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.extras import needs


def convert(
    source: Annotated[
        Path, typer.Argument(help="A public checkpoint, or a weights.safetensors of ours.")
    ],
    target: Annotated[
        Path, typer.Argument(help="What to write: *.safetensors, or a public checkpoint.")
    ],
    as_published: Annotated[
        bool,
        typer.Option(
            help="Take a file that holds tensors alone for a network as its authors built it; "
            "LIIF's, SRNO's and AnySR's own files say how theirs is built."
        ),
    ] = False,
) -> None:
    """Convert a public checkpoint of AnySR, SRNO, LIIF, CiaoSR or DeFiAN, or write one of ours.

    The direction follows from which of the two ends in .safetensors. Nothing in a file is run, and
    nothing is computed: converting back gives the same numbers.
    """
    if (source.suffix == ".safetensors") == (target.suffix == ".safetensors"):
        raise typer.BadParameter("one of the two files must end in .safetensors, not both")
    with needs("train"):
        from models.convert import ConversionError, convert_ours, convert_public
    try:
        if source.suffix == ".safetensors":
            spec = convert_ours(source, target)
        else:
            spec = convert_public(source, target, as_published)
    except (ConversionError, OSError) as error:
        typer.echo(f"Conversion failed: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{target} holds {spec.name} {dict(spec.args)}")

"""`anysr convert`: public checkpoints to weights of this project, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.extras import needs
from cli.sentences import FAILED, fail, reason
from cli.terminal import shown
from models.wrong_file import WrongFile


def convert(
    source: Annotated[
        Path, typer.Argument(help="A public checkpoint, or a weights.safetensors of `anysr train`.")
    ],
    target: Annotated[
        Path, typer.Argument(help="File to write: *.safetensors, or a public checkpoint.")
    ],
    as_published: Annotated[
        bool,
        typer.Option(
            help="Accept a file of tensors alone, for a network as its authors built it. Files of "
            "LIIF, SRNO and AnySR describe their network."
        ),
    ] = False,
) -> None:
    """Convert a public checkpoint of AnySR, SRNO, LIIF, CiaoSR or DeFiAN, or write one.

    The file that ends in .safetensors decides the direction. No code in a file is run, and no
    number changes: converting back gives the same ones.
    """
    if (source.suffix == ".safetensors") == (target.suffix == ".safetensors"):
        raise typer.BadParameter("one of the two files must end in .safetensors, not both")
    with needs("train"):
        from models.convert import convert_ours, convert_public
    try:
        if source.suffix == ".safetensors":
            spec = convert_ours(source, target)
        else:
            spec = convert_public(source, target, as_published)
    except OSError as error:
        fail(f"Conversion failed: {reason(error)}", FAILED, error)
    except WrongFile as error:
        fail(f"Conversion failed: {error}", FAILED, error)
    typer.echo(f"{shown(target)} holds {spec.name} {dict(spec.args)}")

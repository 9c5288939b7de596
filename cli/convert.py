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
) -> None:
    """Convert a public checkpoint of AnySR, SRNO, LIIF, CiaoSR or DeFiAN, or write one of ours.

    The direction follows from which of the two ends in .safetensors. Nothing in a public file is
    run, and nothing is computed: converting back gives the same numbers.
    """
    if (source.suffix == ".safetensors") == (target.suffix == ".safetensors"):
        raise typer.BadParameter("one of the two files must end in .safetensors, not both")
    with needs("train"):
        import torch

        from models.checkpoint import load_network, save_network
        from models.convert import ConversionError, from_public, read_public, to_public
    try:
        if source.suffix == ".safetensors":
            spec, network = load_network(source)
            public = {name: t.clone() for name, t in to_public(spec, network.state_dict()).items()}
            model = {"name": spec.name, "args": dict(spec.args), "sd": public}
            torch.save({"model": model}, target)
        else:
            spec, ours = from_public(read_public(source))
            network = spec.build()
            network.load_state_dict(ours)
            save_network(target, spec, network)
    except (ConversionError, OSError, ValueError) as error:
        typer.echo(f"Conversion failed: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{target} holds {spec.name} {dict(spec.args)}")

"""`anysr models`: every network, its cost, and whether it is trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cli.extras import needs
from cli.terminal import console, shown
from models.adapters.record import Adapter
from models.catalog import SHIPPED, CatalogError, ModelEntry, read_catalog
from models.spec import NetworkSpec
from models.zoo import ZOO

if TYPE_CHECKING:
    from models.architectures.network import Network


def models(
    prefix: Annotated[str, typer.Argument(help="List only names with this prefix.")] = "",
    cost: Annotated[
        bool, typer.Option("--cost", help="Also show multiply-accumulates per pixel, by width.")
    ] = False,
    folder: Annotated[Path, typer.Option(help="Model folder.")] = SHIPPED,
) -> None:
    """List every network: parameters, widths, scales, exact locality, and trained models.

    A network is trained if a model of the folder holds it. If it is not exactly local, a large
    picture made in tiles differs from the whole.
    """
    with needs("train"):
        from models.arithmetic import parameters
    headings = ["network", "parameters", "widths", "scales", "exactly local", "trained"]
    if cost:
        headings += ["MAC / input pixel: trunk", "head", "MAC / output pixel"]
    table = Table(title=f"Networks; trained ones in {shown(folder)}")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "network" else "right")
    entries = _entries(folder)
    for name, spec, trained in _known(entries):
        if not name.startswith(prefix):
            continue
        network = _on_meta(spec)
        local = "no" if network.halo is None else f"halo {network.halo}"
        cells = [
            name,
            f"{parameters(network):,}",
            _lines(network.widths),
            f"1-{network.max_scale:g}",
            local,
            ", ".join(trained) or "no",
        ]
        table.add_row(*cells, *(_costs(network) if cost else ()))
    for entry in entries:
        if entry.adapter is not None and entry.name.startswith(prefix):
            table.add_row(*_foreign(entry, entry.adapter), *([""] * 3 if cost else ()))
    # Files and pipes get the full width, so that no figure is cut off.
    usual = console()
    (usual if usual.is_terminal else console(width=240)).print(table)


def _entries(folder: Path) -> Sequence[ModelEntry]:
    try:
        return read_catalog(folder).models
    except CatalogError as error:
        raise typer.BadParameter(str(error)) from error


def _foreign(entry: ModelEntry, adapter: Adapter) -> tuple[str, ...]:
    """Return the cells of a network that `anysr add` wrote."""
    scales = f"{adapter.scale}, resampled to {entry.min_scale:g}-{entry.max_scale:g}"
    local = "no" if entry.halo is None else f"halo {entry.halo}"
    return entry.name, f"{adapter.parameters:,}", "1", scales, local, entry.name


def _known(entries: Sequence[ModelEntry]) -> Iterator[tuple[str, NetworkSpec, list[str]]]:
    """Yield name, spec and models of each network: those of the zoo, then any other."""
    specs = {entry.name: entry.network for entry in entries if entry.adapter is None}
    for name, spec in ZOO.items():
        yield name, spec, [model for model, held in specs.items() if held == spec]
    for name, spec in specs.items():
        if spec not in ZOO.values():
            yield name, spec, [name]


def _on_meta(spec: NetworkSpec) -> Network:
    from models.weights_file import MOST_TENSORS, skeleton

    return skeleton(spec, MOST_TENSORS).eval()


def _costs(network: Network) -> tuple[str, str, str]:
    from models.arithmetic import arithmetic_of

    cost = arithmetic_of(network)
    return _lines(cost.trunk), f"{cost.head_per_input:,}", f"{cost.head_per_output:,}"


def _lines(numbers: Sequence[int]) -> str:
    return "\n".join(f"{number:,}" for number in numbers)

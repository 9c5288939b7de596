"""`anysr calibrate`: costs of every stage and rung on this machine, as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cli.arguments import check_writable
from cli.extras import needs
from cli.terminal import console, shown
from jobs.settings_errors import settings_of
from models.catalog import SHIPPED, CatalogError

if TYPE_CHECKING:
    from scheduling.cost_model import CostModel


def calibrate(
    output: Annotated[
        Path | None, typer.Option(help="Write the costs here, for anysr simulate --costs.")
    ] = None,
    threads: Annotated[int, typer.Option(min=0, help="Threads of a network; 0: all cores.")] = 1,
    models: Annotated[Path, typer.Option(help="Model folder.")] = SHIPPED,
) -> None:
    """Measure decoding, every network at every width, resampling and encoding: half a minute.

    This is the measurement of a worker's warm-up, so models on demand are left out.
    """
    with needs("cpu"):
        from workers.calibration import calibrate as measure
        from workers.loaded_model import load_models
        from workers.settings import WorkerSettings
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        check_writable(output)
    settings = settings_of(WorkerSettings).model_copy(update={"worker_threads": threads})
    try:
        with console(error=True).status("Measuring"):
            costs = measure(load_models(models, settings))
    except CatalogError as error:
        raise typer.BadParameter(str(error)) from error
    console().print(_table(costs))
    if output:
        output.write_text(json.dumps(costs.to_dict(), indent=1) + "\n")
        typer.echo(f"Written to {shown(output)}")


def _table(costs: CostModel) -> Table:
    table = Table(title="Cost of each stage")
    table.add_column("stage", no_wrap=True)
    for heading in ("fixed ms", "ms per input MP", "ms per output MP", "ms per MB"):
        table.add_column(heading, justify="right")
    for stage, line in sorted(costs.lines.items()):
        table.add_row(stage, *(f"{figure:.2f}" for figure in line.parts))
    return table

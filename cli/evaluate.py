"""`anysr evaluate`: PSNR-Y and SSIM over a folder, as a table and as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from cli.extras import needs
from models.card import refresh
from models.catalog import SHIPPED, CatalogError, QualityEntry, enter, read_catalog
from models.geometry import axis_grid

if TYPE_CHECKING:
    from models.evaluate import Pixels, Score, Upscaler

REFERENCE = "bicubic"


def evaluate(
    model: Annotated[
        str,
        typer.Argument(help="A catalog name, a weights.safetensors of a training, or 'bicubic'."),
    ],
    data: Annotated[Path, typer.Option(help="Folder of truth images.")],
    scales: Annotated[str, typer.Option(help="Comma-separated, any real numbers.")] = "2,3,4",
    widths: Annotated[str, typer.Option(help="Comma-separated fractions, or 'all'.")] = "all",
    models: Annotated[Path, typer.Option(help="The model folder.")] = SHIPPED,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write the result here.")
    ] = None,
    record: Annotated[
        str | None,
        typer.Option(help="Write the result into the catalog as this data set's quality."),
    ] = None,
    jpeg: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="Put the inputs through JPEG of this quality."),
    ] = None,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 for all.")] = 0,
) -> None:
    """Measure a model on a folder, against bicubic.

    A catalog name runs the shipped artifact through ONNX Runtime, a weights file the network
    itself. Inputs are made by Pillow's bicubic; PSNR and SSIM are on luma of 8-bit pictures,
    the border shaved by the scale.
    """
    with needs("train"):
        from models.photographs import list_images
    try:
        files = list_images([data])
        wanted = [float(s) for s in scales.split(",")]
        chosen = None if widths == "all" else [float(w) for w in widths.split(",")]
    except (FileNotFoundError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error
    results = _measure(_upscalers(model, models, chosen, threads), files, wanted, jpeg)
    _print(model, data.name, results)
    if json_file:
        json_file.write_text(json.dumps(_as_json(model, data.name, results), indent=1) + "\n")
    if record:
        _record(models, model, record, results)


def _upscalers(
    model: str, folder: Path, chosen: list[float] | None, threads: int
) -> dict[str, Upscaler]:
    from models.evaluate import bicubic

    upscalers: dict[str, Upscaler] = {REFERENCE: bicubic}
    if model != REFERENCE:
        for width, upscaler in _widths(model, folder, threads or os.cpu_count() or 1):
            if chosen is None or width in chosen:
                upscalers[f"{width:g}"] = upscaler
    return upscalers


def _measure(
    upscalers: dict[str, Upscaler], files: list[Path], scales: list[float], jpeg: int | None
) -> dict[str, list[Score]]:
    from models.evaluate import evaluate as measure

    results: dict[str, list[Score]] = {}
    with Progress(transient=True) as progress:
        task = progress.add_task("Measuring", total=len(upscalers) * len(scales))
        for name, upscaler in upscalers.items():
            results[name] = []
            for scale in scales:
                results[name].append(measure(upscaler, files, scale, jpeg))
                progress.advance(task)
    return results


def _widths(model: str, folder: Path, threads: int) -> Iterator[tuple[float, Upscaler]]:
    if model.endswith(".safetensors"):
        yield from _eager(Path(model), threads)
        return
    from workers.runtimes.onnx import OnnxSession

    try:
        entry = read_catalog(folder).get(model)
        session = OnnxSession(folder, entry, threads)
    except (CatalogError, KeyError) as error:
        raise typer.BadParameter(f"no model {model} in {folder}: {error}") from error
    for width in entry.widths:
        yield width.width, _through(partial(session.run, width=width.width))


def _eager(weights: Path, threads: int) -> Iterator[tuple[float, Upscaler]]:
    import torch

    from models.architectures.network import grid_tensors
    from models.checkpoint import load_network

    torch.set_num_threads(threads)
    _, network = load_network(weights)

    def run(image: Any, rows: Any, columns: Any, channels: int) -> Any:
        with torch.inference_mode():
            tensors = grid_tensors(rows, columns)
            return network(torch.from_numpy(image), *tensors, channels).numpy()

    for channels in network.widths:
        fraction = channels / network.channels
        yield fraction, _through(partial(run, channels=channels))


def _through(run: Callable[..., Any]) -> Upscaler:
    def upscale(pixels: Pixels, size: tuple[int, int]) -> Pixels:
        image = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], dtype=np.float32) / 255
        rows, columns = axis_grid(image.shape[2], size[0]), axis_grid(image.shape[3], size[1])
        output = run(image, rows, columns)[0].clip(0, 1)
        rounded: Pixels = np.rint(output * 255).astype(np.uint8).transpose(1, 2, 0)
        return rounded

    return upscale


def _print(model: str, data: str, results: dict[str, list[Score]]) -> None:
    """One line per width and scale: it grows downwards, so no figure is ever cut off."""
    table = Table(title=f"{model} on {data}: luma, 8 bits")
    for heading in ("width", "scale", "PSNR (dB)", "SSIM"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, scores in results.items():
        for score in scores:
            scale, psnr, ssim = f"x{score.scale:g}", f"{score.psnr_y:.2f}", f"{score.ssim:.4f}"
            table.add_row(name, scale, psnr, ssim, end_section=score is scores[-1])
    Console().print(table)


def _as_json(model: str, data: str, results: dict[str, list[Score]]) -> dict[str, Any]:
    rows = {name: [asdict(s) for s in scores] for name, scores in results.items()}
    return {"model": model, "data": data, "results": rows}


def _record(folder: Path, model: str, dataset: str, results: dict[str, list[Score]]) -> None:
    entry = read_catalog(folder).get(model)
    measured = {
        (dataset, s.scale, float(name)): QualityEntry(
            dataset=dataset,
            scale=s.scale,
            width=float(name),
            psnr_y=round(s.psnr_y, 3),
            ssim=round(s.ssim, 4),
        )
        for name, scores in results.items()
        if name != REFERENCE
        for s in scores
    }
    kept = [q for q in entry.quality if (q.dataset, q.scale, q.width) not in measured]
    rows = sorted((*kept, *measured.values()), key=lambda q: (q.dataset, q.scale, q.width))
    changed = entry.model_copy(update={"quality": tuple(rows)})
    enter(folder, changed)
    card = folder / f"{model}.md"
    if card.exists():
        card.write_text(refresh(card.read_text(), changed))
    typer.echo(f"Recorded in {folder / 'catalog.json'}")

"""`anysr evaluate`: PSNR-Y and SSIM over a folder, as a table and as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from cli.arguments import check_writable, entries_of, fractions_of, scales_of
from cli.extras import needs
from cli.terminal import console, progress, shown
from images.picture import FloatArray, Picture, Raster
from models.adapters.enlarging import WrongOutput
from models.catalog import (
    SHIPPED,
    CatalogError,
    Precision,
    read_catalog,
    register,
)
from models.geometry import AxisGrid
from models.recorded_quality import REFERENCE, record_quality, renew_card
from models.strength import strength_of_quality
from scheduling.tiling import CONTEXT, DEFAULT_TILE_OUTPUT_PIXELS, Tiling, tiling_of
from workers.upscale import Engine, upscale

if TYPE_CHECKING:
    from models.architectures.network import Network
    from models.evaluate import Pixels, Score, Upscaler


def evaluate(
    model: Annotated[
        str,
        typer.Argument(help="A catalog name, a weights.safetensors of a training, or 'bicubic'."),
    ],
    data: Annotated[Path, typer.Option(help="Folder of truths.")],
    scales: Annotated[str, typer.Option(help="Comma-separated, any real numbers.")] = "2,3,4",
    widths: Annotated[str, typer.Option(help="Comma-separated fractions, or 'all'.")] = "all",
    models: Annotated[Path, typer.Option(help="Model folder.")] = SHIPPED,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write the result here.")
    ] = None,
    record: Annotated[
        str | None,
        typer.Option(help="Write the result to the catalog, as the quality on this data set."),
    ] = None,
    jpeg: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="Compress the inputs as JPEG of this quality."),
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Strength given to networks that clean up compression damage; default: that of "
            "--jpeg.",
        ),
    ] = None,
    precision: Annotated[
        Precision,
        typer.Option(
            help="Precision of a shipped model's trunk. With int8, --record writes the loss "
            "against float32."
        ),
    ] = Precision.FLOAT32,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 for all.")] = 0,
    device: Annotated[
        str, typer.Option(help="Where torch runs a weights file: cpu, or cuda.")
    ] = "cpu",
) -> None:
    """Measure a model on a folder of photographs, beside bicubic.

    A catalog name runs the shipped artifact in ONNX Runtime, or with --precision in OpenVINO; a
    weights file runs the network in torch. Both run pictures as a worker does. Inputs are made by
    Pillow's bicubic. PSNR and SSIM are on luma of 8-bit pictures, without a border as wide as the
    scale.
    """
    with needs("train"):
        from models.photographs import list_images
    wanted, chosen = scales_of(scales), fractions_of(widths)
    check_writable(json_file)
    if record is not None:
        entries_of(models, [model])
    try:
        files = list_images([data])
    except FileNotFoundError as error:
        raise typer.BadParameter(str(error)) from error
    if strength is None:
        strength = 0.0 if jpeg is None else strength_of_quality(jpeg)
    upscalers = _upscalers(model, models, chosen, threads, strength, precision, device)
    try:
        results = _measure(upscalers, files, wanted, jpeg)
    except (CatalogError, WrongOutput) as error:  # a graph is opened at its first run
        raise typer.BadParameter(str(error)) from error
    _print(model, data.name, results)
    if json_file:
        json_file.write_text(json.dumps(_as_json(model, data.name, results), indent=1) + "\n")
    if record and precision is Precision.INT8:
        _record_loss(models, model, record, results)
    elif record:
        record_quality(models, model, record, results)
        typer.echo(f"Recorded in {models / 'catalog.json'}")


def _upscalers(
    model: str,
    folder: Path,
    chosen: list[float] | None,
    threads: int,
    strength: float,
    precision: Precision,
    device: str,
) -> dict[str, Upscaler]:
    from models.evaluate import bicubic

    upscalers: dict[str, Upscaler] = {REFERENCE: bicubic}
    if model != REFERENCE:
        threads = threads or os.cpu_count() or 1
        for width, upscaler in _widths(model, folder, threads, strength, precision, device):
            if chosen is None or width in chosen:
                upscalers[f"{width:g}"] = upscaler
        if len(upscalers) == 1:
            raise typer.BadParameter(f"{shown(model)} has none of these --widths")
    return upscalers


def _measure(
    upscalers: dict[str, Upscaler], files: list[Path], scales: list[float], jpeg: int | None
) -> dict[str, list[Score]]:
    from models.evaluate import evaluate as measure

    results: dict[str, list[Score]] = {}
    with progress() as bars:
        task = bars.add_task("Measuring", total=len(upscalers) * len(scales))
        for name, upscaler in upscalers.items():
            results[name] = []
            for scale in scales:
                results[name].append(measure(upscaler, files, scale, jpeg))
                bars.advance(task)
    return results


def _widths(
    model: str, folder: Path, threads: int, strength: float, precision: Precision, device: str
) -> Iterator[tuple[float, Upscaler]]:
    if model.endswith(".safetensors"):
        engines = _eager(Path(model), threads, device)
    elif device != "cpu":
        raise typer.BadParameter(f"--device {device} is for a weights file; {model} runs on a CPU")
    else:
        engines = _shipped(model, folder, threads, precision)
    for width, engine in engines:
        yield width, _through(engine, strength)


def _shipped(
    model: str, folder: Path, threads: int, precision: Precision
) -> Iterator[tuple[float, Engine]]:
    """Yield a model of the catalog at each width, as a worker runs it."""
    from workers.loaded_model import LoadedModel
    from workers.runtimes.adapter import AdapterSession
    from workers.runtimes.base import RuntimeMissing, Session
    from workers.runtimes.onnx import OnnxSession
    from workers.runtimes.openvino import OpenVinoSession

    (entry,) = entries_of(folder, [model])
    try:
        session: Session = (
            AdapterSession(folder, entry, threads)
            if entry.adapter is not None and precision is Precision.FLOAT32
            else OnnxSession(folder, entry, threads)
            if precision is Precision.FLOAT32
            else OpenVinoSession(folder, entry, precision, threads)
        )
    except (CatalogError, RuntimeMissing) as error:
        raise typer.BadParameter(f"{model} cannot run: {error}") from error
    served = LoadedModel(entry, session, tiling_of(entry))
    for width in entry.widths:
        yield width.width, served.at(width.width)


def _eager(weights: Path, threads: int, device: str) -> Iterator[tuple[float, Engine]]:
    """Yield a network in torch at each width, as a worker will run it after export."""
    import torch

    from models.architectures.network import output_halo_of
    from models.export import eager_runner, rim_of
    from models.network_file import load_network

    torch.set_num_threads(threads)
    if device != "cpu" and not torch.cuda.is_available():
        raise typer.BadParameter(
            f"--device {device}: torch {torch.__version__} sees no CUDA device"
        )
    torch.backends.cudnn.allow_tf32 = False  # float32 is measured, as workers run it
    _, network = load_network(weights)
    network.to(device)
    rim = rim_of(network, [eager_runner(network, channels) for channels in network.widths])
    tiling = Tiling(
        CONTEXT if network.halo is None else network.halo,
        output_pixels=network.tile_output_pixels or DEFAULT_TILE_OUTPUT_PIXELS,
        rim=rim.pixels,
        output_halo=output_halo_of(network),
    )
    for channels in network.widths:
        engine = Engine(_Eager(network, channels), tiling, network.takes_strength)
        yield channels / network.channels, engine


class _Eager:
    """A network in torch at one width; implements `workers.runtimes.base.Network`."""

    def __init__(self, network: Network, channels: int) -> None:
        self._network = network
        self._channels = channels

    def run(
        self, image: FloatArray, rows: AxisGrid, columns: AxisGrid, strength: float = 0.0
    ) -> FloatArray:
        from models.export import eager_runner, inputs_of

        run = eager_runner(self._network, self._channels)
        return run(inputs_of(self._network, image, rows, columns, strength))


def _through(engine: Engine, strength: float) -> Upscaler:
    """Return a function that upscales pictures of 8 bits by the code of a worker."""

    def larger(pixels: Pixels, size: tuple[int, int]) -> Pixels:
        picture = Picture(Raster(pixels))
        made = upscale(picture, *size, engine, lambda part: None, strength).picture
        return made.pixels.eight_bits()

    return larger


def _print(model: str, data: str, results: dict[str, list[Score]]) -> None:
    """Print one line per width and scale, so that no figure is cut off."""
    table = Table(title=f"{shown(model)} on {shown(data)}: luma, 8 bits")
    for heading in ("width", "scale", "PSNR (dB)", "SSIM"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, scores in results.items():
        for score in scores:
            scale, psnr, ssim = f"x{score.scale:g}", f"{score.psnr_y:.2f}", f"{score.ssim:.4f}"
            table.add_row(name, scale, psnr, ssim, end_section=score is scores[-1])
    console().print(table)


def _as_json(model: str, data: str, results: dict[str, list[Score]]) -> dict[str, Any]:
    rows = {name: [asdict(s) for s in scores] for name, scores in results.items()}
    return {"model": model, "data": data, "results": rows}


def _record_loss(folder: Path, model: str, dataset: str, results: dict[str, list[Score]]) -> None:
    """Record the loss of int8 against the recorded float32, at the scale with the largest."""
    entry = read_catalog(folder).get(model)
    exact = {(q.dataset, q.scale, q.width): q.psnr_y for q in entry.quality}
    widths = []
    for width in entry.widths:
        lost = [
            exact[dataset, s.scale, width.width] - s.psnr_y
            for s in results.get(f"{width.width:g}", [])
            if (dataset, s.scale, width.width) in exact
        ]
        if lost and width.int8 is not None:
            int8 = width.int8.model_copy(update={"loss_db": round(max(0.0, *lost), 3)})
            width = width.model_copy(update={"int8": int8})
        widths.append(width)
    changed = entry.model_copy(update={"widths": tuple(widths)})
    register(folder, changed)
    renew_card(folder, changed)
    typer.echo(f"Recorded in {folder / 'catalog.json'}")

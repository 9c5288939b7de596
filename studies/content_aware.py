"""Quality of pictures whose tiles have widths of their own, against one width, at equal time.

ARM (ECCV 2022) chooses each tile's width by its edge score. This study runs every width on whole
pictures (a tiled result equals it) and sums the errors by tile. Then it spends the time of a
uniform width again, tile by tile, by the greatest marginal gain per millisecond: once by the true
gains, an upper bound of any choice, and once by the gains that a tile's edge energy predicts, from
the other half of the pictures. Costs are those of `anysr calibrate`, with halos and without.

Figures: docs/scheduling.md, "A width for each tile does not pay here".
Run: python -m studies.content_aware FOLDER --scale 2 --tiles 32,64,128
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from images.picture import Picture, Raster
from models.catalog import SHIPPED, ModelEntry, read_catalog
from models.evaluate import Pixels, degrade, luma
from models.training.dataset import list_images
from scheduling.cost_model import CostModel
from scheduling.rungs import Rung
from scheduling.stages import stage_of
from scheduling.tiling import cut_axis, tiling_of
from scheduling.work import Work
from studies.arguments import parser_of
from workers.loaded_model import LoadedModel
from workers.runtimes.onnx import OnnxSession
from workers.upscale import upscale

Array = NDArray[np.float64]

COSTS = Path(__file__).parents[1] / "benchmarks" / "costs" / "two-cores.json"
UNIFORM = 0.7
BINS = 12
"""Classes of edge energy, of equal counts."""


@dataclass(frozen=True)
class Measured:
    """One picture cut into tiles."""

    pixels: int
    """Input pixels."""
    output_samples: int
    windows: Array
    """[tiles] input pixels of each tile with its halo."""
    cores: Array
    """[tiles] input pixels of each tile."""
    energy: Array
    """[tiles] mean gradient magnitude of the input's luma."""
    errors: Array
    """[rungs, tiles] summed squared error of the output's luma."""

    def psnr(self, error: float) -> float:
        """Return the PSNR in dB of a picture with this sum of squared errors."""
        return 10 * math.log10(255**2 * self.output_samples / error)


@dataclass(frozen=True)
class Outcome:
    """Mean dB over the pictures at the time of the uniform width."""

    tile: int
    halo: bool
    uniform: float
    edges: float
    bound: float


def gains(measured: Sequence[Measured], like: Sequence[Measured]) -> list[Array]:
    """Return the squared error of each rung predicted by edge energy, [rungs, tiles] per picture of
    `measured`: the mean over the tiles of `like` in the same class of energy."""
    energy = np.concatenate([m.energy for m in like])
    errors = np.concatenate([m.errors / m.cores for m in like], axis=1)
    edges = np.quantile(energy, np.linspace(0, 1, BINS + 1)[1:-1])
    classes = np.digitize(energy, edges)
    table = np.stack([errors[:, classes == k].mean(axis=1) for k in range(BINS)], axis=1)
    return [table[:, np.digitize(m.energy, edges)] * m.cores for m in measured]


def spend(errors: Array, costs: Array, budget: float) -> NDArray[np.intp] | None:
    """Return the rung of each tile: greedy by marginal gain per ms along each tile's hull.

    `errors` and `costs` are [rungs, tiles], costs rising. None where not even the cheapest rung
    of all tiles is within the budget.
    """
    tiles = range(errors.shape[1])
    chosen = np.zeros(errors.shape[1], np.intp)
    left = budget - float(costs[0].sum())
    if left < 0:
        return None
    heap = [step for t in tiles if (step := _step(errors, costs, t, 0))]
    heapq.heapify(heap)
    while heap:
        _, price, tile, rung = heapq.heappop(heap)
        if price > left:
            continue
        left -= price
        chosen[tile] = rung
        if step := _step(errors, costs, tile, rung):
            heapq.heappush(heap, step)
    return chosen


def _step(
    errors: Array, costs: Array, tile: int, rung: int
) -> tuple[float, float, int, int] | None:
    """Return the best next widening of a tile: (-gain per ms, ms, tile, rung), None if none."""
    later = range(rung + 1, len(errors))
    steps = []
    for other in later:
        gain = float(errors[rung, tile] - errors[other, tile])
        price = float(costs[other, tile] - costs[rung, tile])
        steps.append((-gain / max(price, 1e-9), price, tile, other))
    best = min(steps, default=None)
    return best if best and best[0] < 0 else None


def outcome(
    measured: Sequence[Measured], prices: Array, widths: Sequence[float], tile: int, halo: bool
) -> Outcome:
    """Spend the time of the uniform width on tiles. `prices` are [rungs] ms per input pixel."""
    halves = [measured[0::2], measured[1::2]]
    predicted = gains(halves[0], halves[1]), gains(halves[1], halves[0])
    sums = np.zeros(3)
    for half, expected in zip(halves, predicted, strict=True):
        for picture, expectation in zip(half, expected, strict=True):
            sums += _one(picture, expectation, prices, widths, halo)
    uniform, edges, bound = sums / len(measured)
    return Outcome(tile, halo, uniform, edges, bound)


def _one(
    picture: Measured, expectation: Array, prices: Array, widths: Sequence[float], halo: bool
) -> Array:
    uniform_db = [picture.psnr(float(e)) for e in picture.errors.sum(axis=1)]
    uniform = float(np.interp(UNIFORM, widths, uniform_db))
    budget = float(np.interp(UNIFORM, widths, prices)) * picture.pixels
    costs = prices[:, None] * (picture.windows if halo else picture.cores)
    made = [uniform]
    for errors in (expectation, picture.errors):
        chosen = spend(errors, costs, budget)
        # The uniform width remains possible where not even the narrowest tiles are in time.
        if chosen is None:
            made.append(uniform)
            continue
        made.append(picture.psnr(float(picture.errors[chosen, np.arange(len(chosen))].sum())))
    return np.array(made)


def measure(
    entry: ModelEntry, session: OnnxSession, truth: Pixels, scale: float, sides: Sequence[int]
) -> dict[int, Measured]:
    """Run every width on one photograph and sum its errors by tiles of each side."""
    small, cropped = degrade(truth, scale)
    size = (cropped.shape[0], cropped.shape[1])
    picture = Picture(Raster(small))
    wanted = luma(cropped)
    squares, halo = [], tiling_of(entry).halo
    for width in entry.widths:
        engine = LoadedModel(entry, session, tiling_of(entry)).at(width.width)
        made = upscale(picture, *size, engine, lambda part: None).picture
        pixels = made.pixels.eight_bits()
        squares.append((luma(pixels) - wanted) ** 2)
    return {side: _cut(np.stack(squares), luma(small), side, halo) for side in sides}


def _cut(squares: Array, small: Array, side: int, halo: int) -> Measured:
    (height, width), (out_height, out_width) = small.shape, squares.shape[1:]
    slope = np.hypot(*np.gradient(small))
    windows, cores, energy, errors = [], [], [], []
    for row in cut_axis(height, out_height, -(-height // side), halo):
        for column in cut_axis(width, out_width, -(-width // side), halo):
            core = slice(*row.core), slice(*column.core)
            window = slice(*row.window), slice(*column.window)
            made = slice(*row.output), slice(*column.output)
            windows.append(slope[window].size)
            cores.append(slope[core].size)
            energy.append(slope[core].mean())
            errors.append(squares[:, *made].sum(axis=(1, 2)))
    return Measured(
        height * width,
        out_height * out_width,
        np.array(windows, float),
        np.array(cores, float),
        np.array(energy),
        np.array(errors).T,
    )


def arguments_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = parser_of("studies.content_aware", __doc__)
    parser.add_argument("folder", type=Path, help="folder of photographs")
    parser.add_argument("--model", default="anysr-m", help="name in the shipped catalog")
    parser.add_argument("--scale", type=float, default=2.0)
    parser.add_argument(
        "--tiles", default="32,64,128", help="input pixels a side of the tiles, comma-separated"
    )
    parser.add_argument("--limit", type=int, default=0, help="most pictures, evenly spaced; 0: all")
    parser.add_argument("--costs", type=Path, default=COSTS, help="costs by `anysr calibrate`")
    parser.add_argument("--json", type=Path, help="also write the results here")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print mean dB at the time of uniform width 0.7."""
    given = arguments_of(arguments)
    entry, scale = read_catalog(SHIPPED).get(given.model), given.scale
    session = OnnxSession(SHIPPED, entry, threads=2)
    sides = [int(side) for side in given.tiles.split(",")]
    files = _evenly(list_images([given.folder]), given.limit)
    measured: dict[int, list[Measured]] = {side: [] for side in sides}
    for file in track(files, "Running every width"):
        with Image.open(file) as image:
            truth = np.array(image.convert("RGB"))
        for side, cut in measure(entry, session, truth, scale, sides).items():
            measured[side].append(cut)
    widths = [w.width for w in entry.widths]
    prices = _prices(entry, CostModel.from_dict(json.loads(given.costs.read_text())), scale)
    outcomes = [
        outcome(measured[side], prices, widths, side, halo)
        for side in sides
        for halo in (True, False)
    ]
    _print(f"{entry.name}, {given.folder.name}, x{scale:g}, {len(files)} pictures", outcomes)
    if given.json:
        given.json.write_text(json.dumps([vars(o) for o in outcomes], indent=1) + "\n")


def _evenly(files: list[Path], limit: int) -> list[Path]:
    """Return at most `limit` of the files, evenly spaced; all for 0."""
    count = min(limit, len(files)) if limit else len(files)
    return [files[i * len(files) // count] for i in range(count)]


def _prices(entry: ModelEntry, costs: CostModel, scale: float) -> Array:
    megapixel = Work(1_000_000, round(1_000_000 * scale**2), "png")
    stages = (stage_of(Rung(entry.name, w.width)) for w in entry.widths)
    return np.array([costs.predict_stage(stage, megapixel) / 1e6 for stage in stages])


def _print(title: str, outcomes: Sequence[Outcome]) -> None:
    table = Table(title=f"{title}: dB at the time of uniform {UNIFORM:g}")
    for heading in ("tile", "halo", "uniform", "by edges", "bound"):
        table.add_column(heading, justify="right")
    for o in outcomes:
        halo = "paid" if o.halo else "free"
        better = (f"{db:.3f} ({db - o.uniform:+.3f})" for db in (o.edges, o.bound))
        table.add_row(f"{o.tile}", halo, f"{o.uniform:.3f}", *better)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()

"""Fit of the expected quality of a picture (`models.expectation`), and its errors.

Photographs are shrunk by at least 1.5, so that they are sharp, with common filters; each, or a part
of it, is then a truth. It is degraded as for `anysr evaluate`, at random scales and JPEG qualities,
and upscaled by plain resampling and by a few rungs. The results are appended to `--samples`, one
file at a time, so that a later call continues. A fifth of the photographs and the folders of
`--check` are held out of the fit. The table shows the errors there, beside those of the catalog's
mean.

Figures: docs/expected-quality.md.
Run: python -m studies.expected_quality --photographs FOLDER --samples FILE --check B100=FOLDER
"""

from __future__ import annotations

import argparse
import json
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from images.picture import Picture, Raster
from models.catalog import SHIPPED, Catalog, read_catalog, resampled_db
from models.evaluate import Pixels, degrade, luma
from models.expectation import (
    COEFFICIENTS,
    MOST_DB,
    Coefficients,
    Expectation,
    Features,
    expectation_of,
    spread_terms,
    terms,
)
from models.strength import strength_of_quality
from models.training.dataset import list_images
from scheduling.rungs import FLOOR, Rung
from scheduling.tiling import tiling_of
from studies.arguments import parser_of
from workers.features import features_of
from workers.loaded_model import LoadedModel
from workers.runtimes.onnx import OnnxSession
from workers.upscale import Engine, upscale

Array = NDArray[np.float64]

RUNGS = (Rung("anysr-s", 1.0), Rung("anysr-s", 0.25), Rung("anysr-m", 1.0))
"""Rungs that are measured beside plain resampling."""

DRAWS = 8
"""Samples of a photograph. All rungs run on the first, the first rung on the second."""
MEASURED = (2, 1, 1)
"""Samples of a photograph on which each rung runs."""
CHECKED_EVERY = (2, 8, 8)
"""Each rung runs on every n-th picture of a checked folder."""
SIDES = (256, 448)
"""Least and most pixels of the shorter side of a truth."""
LONGEST = 640
LEAST_SHRINK = 1.5
FILTERS = tuple(Image.Resampling[name] for name in ("BOX", "HAMMING", "BICUBIC", "LANCZOS"))
SCALES = (1.3, 8.0)
ANCHORS = (2.0, 3.0, 4.0)
"""Scales of half the samples; the others are uniform in their logarithm."""
QUALITIES = (95, 90, 85, 75, 60, 50, 40, 30)
CLEAN = 0.6
"""Part of the samples without JPEG."""

CHECKED = ((2.0, None), (2.5, None), (3.0, None), (4.0, None), (2.0, 75))
"""Scales and JPEG qualities of the samples from the folders of `--check`."""

FOLDS = 5
"""Parts of the photographs: one is held out, errors are cross-validated over the others."""
HELD = 0
RIDGE, GAIN_RIDGE = 1e-3, 1e-2
COVERED = (0.1, 0.9)
"""Quantiles of the error at the ends of the interval."""


@dataclass(frozen=True)
class Sample:
    """One picture, upscaled in several ways."""

    source: str
    """`photographs`, or the name of a folder of `--check`."""
    file: str
    scale: float
    strength: float
    features: Features
    reached: dict[str, float]
    """PSNR-Y by the rung's name (`anysr-s@0.25`; `lanczos@0`)."""

    @property
    def resampled_db(self) -> float:
        return min(self.reached[FLOOR.key], MOST_DB)

    @property
    def fold(self) -> int:
        return zlib.crc32(self.file.encode()) % FOLDS


def arguments_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = parser_of("studies.expected_quality", __doc__)
    parser.add_argument(
        "--photographs",
        type=Path,
        action="append",
        required=True,
        help="folder of training photographs; repeatable",
    )
    parser.add_argument("--samples", type=Path, required=True, help="file of measured samples")
    parser.add_argument(
        "--check", action="append", default=[], help="NAME=FOLDER, held out; repeatable"
    )
    parser.add_argument("--models", type=Path, default=SHIPPED, help="model folder")
    parser.add_argument("--write", action="store_true", help="write the fitted coefficients")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, fit, and print the errors."""
    given = arguments_of(arguments)
    catalog, samples = read_catalog(given.models), given.samples
    engines = {rung: _engine(given.models, catalog, rung) for rung in RUNGS}
    for name, _, folder in (text.partition("=") for text in given.check):
        files = list_images([Path(folder)])
        _measure(samples, name, files, partial(_checked, name, engines))
    # In random order, so that the samples of an interrupted run are like the rest.
    found = list_images(given.photographs)
    files = sorted(found, key=lambda file: zlib.crc32(file.name[::-1].encode()))
    _measure(samples, "photographs", files, lambda file, _: _drawn(file, engines))
    known = _known(samples)
    ours = [sample for sample in known if sample.source == "photographs"]
    coefficients = _fitted([sample for sample in ours if sample.fold != HELD], catalog)
    _report(known, catalog, coefficients)
    if given.write:
        COEFFICIENTS.write_text(json.dumps(coefficients.model_dump(), indent=1) + "\n")
        print(f"Wrote {COEFFICIENTS}")


def _engine(folder: Path, catalog: Catalog, rung: Rung) -> Engine:
    entry = catalog.get(rung.model)
    return LoadedModel(entry, OnnxSession(folder, entry, 1), tiling_of(entry)).at(rung.width)


def _known(kept: Path) -> list[Sample]:
    """Return the samples measured so far."""
    return [_read(line) for line in kept.read_text().splitlines()] if kept.exists() else []


def _measure(
    kept: Path,
    source: str,
    files: Sequence[Path],
    samples_of: Callable[[Path, int], Iterator[Sample]],
) -> None:
    """Measure the files that have no samples yet. `samples_of` gets a file and its number."""
    done = {sample.file for sample in _known(kept) if sample.source == source}
    for number, file in enumerate(track(files, source, transient=True)):
        if file.name not in done:
            measured = [json.dumps(asdict(sample)) + "\n" for sample in samples_of(file, number)]
            with kept.open("a") as lines:
                lines.write("".join(measured))


def _drawn(file: Path, engines: dict[Rung, Engine]) -> Iterator[Sample]:
    """Yield the samples of a photograph; equal at each call."""
    draw = np.random.default_rng(zlib.crc32(file.name.encode()))
    with Image.open(file) as image:
        photograph = image.convert("RGB")
    for number in range(DRAWS):
        truth = _truth(photograph, draw)
        scale = float(np.exp(draw.uniform(*np.log(SCALES))))
        if draw.random() < 0.5:
            scale = float(draw.choice(ANCHORS))
        quality = None if draw.random() < CLEAN else int(draw.choice(QUALITIES))
        used = {r: engines[r] for r, count in zip(RUNGS, MEASURED, strict=True) if number < count}
        yield _sample("photographs", file.name, truth, scale, quality, used)


def _truth(photograph: Image.Image, draw: np.random.Generator) -> Pixels:
    """Return a photograph, or a square of it, shrunk to `SIDES`."""
    short = min(photograph.size)
    side = min(int(draw.integers(*SIDES, endpoint=True)), max(192, int(short / LEAST_SHRINK)))
    most = max(1.0, short / side)
    whole = draw.random() < 0.5
    shrink = (
        most if whole else float(np.exp(draw.uniform(math.log(min(1.5, most)), math.log(most))))
    )
    cut = _cut(photograph, (int(LONGEST * shrink) if whole else int(side * shrink)), draw)
    size = [max(1, round(n / shrink)) for n in cut.size]
    resampling = FILTERS[draw.integers(len(FILTERS))]
    return np.array(cut.resize((size[0], size[1]), resampling))


def _cut(image: Image.Image, longest: int, draw: np.random.Generator) -> Image.Image:
    """Return a random part of an image with sides of at most `longest` pixels."""
    width, height = (min(n, longest) for n in image.size)
    left = int(draw.integers(image.width - width, endpoint=True))
    top = int(draw.integers(image.height - height, endpoint=True))
    return image.crop((left, top, left + width, top + height))


def _checked(name: str, engines: dict[Rung, Engine], file: Path, number: int) -> Iterator[Sample]:
    with Image.open(file) as image:
        truth = np.array(image.convert("RGB"))
    each = zip(RUNGS, CHECKED_EVERY, strict=True)
    used = {rung: engines[rung] for rung, every in each if number % every == 0}
    for scale, quality in CHECKED:
        yield _sample(name, file.name, truth, scale, quality, used)


def _sample(
    source: str,
    file: str,
    truth: Pixels,
    scale: float,
    quality: int | None,
    engines: dict[Rung, Engine],
) -> Sample:
    small, cropped = degrade(truth, scale, quality)
    strength = 0.0 if quality is None else strength_of_quality(quality)
    picture = Picture(Raster(small))
    ways: dict[Rung, Engine | None] = {FLOOR: None, **engines}
    reached = {
        rung.key: _psnr(picture, cropped, math.ceil(scale), engine, strength)
        for rung, engine in ways.items()
    }
    return Sample(source, file, scale, strength, features_of(picture), reached)


def _psnr(
    picture: Picture, truth: Pixels, border: int, engine: Engine | None, strength: float
) -> float:
    """Return PSNR-Y in dB as `models.evaluate.compare` does, at most `MOST_DB`."""
    height, width = truth.shape[:2]
    larger = upscale(picture, height, width, engine, lambda part: None, strength).picture
    made = larger.pixels.eight_bits()
    inside = slice(border, -border)
    error = float(np.square(luma(made)[inside, inside] - luma(truth)[inside, inside]).mean())
    return min(MOST_DB, 10 * math.log10(255**2 / error)) if error else MOST_DB


def _read(line: str) -> Sample:
    data = json.loads(line)
    seen = data.pop("features")
    return Sample(features=Features(**(seen | {"bands": tuple(seen["bands"])})), **data)


def _fitted(samples: Sequence[Sample], catalog: Catalog) -> Coefficients:
    """Fit all coefficients. The interval is fitted to the cross-validated errors of the networks,
    which are larger than those of plain resampling."""
    resampled, gain = _regressions(samples, catalog)
    flat = Coefficients(resampled=resampled, gain=gain, spread=(0, 0, 0, 0), below=0, above=0)
    rows, errors = [], []
    for fold in {sample.fold for sample in samples}:
        others = _regressions([s for s in samples if s.fold != fold], catalog)
        by = flat.model_copy(update=dict(zip(("resampled", "gain"), others, strict=True)))
        for sample in (s for s in samples if s.fold == fold):
            expected = _expected(sample, by)
            by_rung = _errors(sample, expected, catalog)
            known = [e for rung, e in by_rung.items() if rung != FLOOR and e is not None]
            errors += known
            row = spread_terms(expected.resampled_db, sample.scale, sample.strength)
            rows += [row] * len(known)
    features, error = np.array(rows), np.array(errors)
    spread, *_ = np.linalg.lstsq(features, np.log(np.abs(error) + 0.05), rcond=None)
    below, above = np.quantile(error / np.exp(features @ spread), COVERED)
    return flat.model_copy(
        update={"spread": _tuple(spread), "below": round(-below, 4), "above": round(above, 4)}
    )


def _regressions(
    samples: Sequence[Sample], catalog: Catalog
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the weights for the PSNR of plain resampling, and for the part of the mean gain."""
    rows = np.array([terms(s.features, s.scale, s.strength) for s in samples])
    reached = np.array([s.resampled_db for s in samples])
    resampled = _ridge(rows, reached, np.ones(len(rows)), RIDGE)
    pairs = [
        (row, mean, min(sample.reached[rung.key], MOST_DB) - sample.resampled_db)
        for row, sample in zip(rows, samples, strict=True)
        for rung in RUNGS
        if rung.key in sample.reached
        and (mean := catalog.get(rung.model).gain_db(rung.width, sample.scale, sample.strength))
    ]
    gained, means, gains = (np.array(column) for column in zip(*pairs, strict=True))
    return _tuple(resampled), _tuple(_ridge(gained, gains / means, means**2, GAIN_RIDGE))


def _ridge(rows: Array, goal: Array, weights: Array, strength: float) -> Array:
    """Return the weights of the terms by ridge regression on standardised terms; the first term is
    constant."""
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    mean[0], deviation[0] = 0.0, 1.0
    scaled = (rows - mean) / deviation
    weights = weights / weights.sum()
    penalty = np.full(len(mean), strength)
    penalty[0] = 0.0
    found = np.linalg.solve(
        (scaled.T * weights) @ scaled + np.diag(penalty), (scaled.T * weights) @ goal
    )
    found /= deviation
    found[0] -= mean @ found
    return np.asarray(found)


def _tuple(values: Array) -> tuple[float, ...]:
    return tuple(float(f"{value:.6g}") for value in values)


def _expected(sample: Sample, by: Coefficients) -> Expectation:
    return expectation_of(sample.features, sample.scale, sample.strength, by)


def _errors(sample: Sample, expected: Expectation, catalog: Catalog) -> dict[Rung, float | None]:
    """Return measured minus expected dB, by rung; None where no quality is expected."""
    errors: dict[Rung, float | None] = {FLOOR: sample.resampled_db - expected.resampled_db}
    for rung in (r for r in RUNGS if r.key in sample.reached):
        db = expected.db(catalog.get(rung.model), rung.width)
        errors[rung] = None if db is None else min(sample.reached[rung.key], MOST_DB) - db
    return errors


def _report(samples: Sequence[Sample], catalog: Catalog, by: Coefficients) -> None:
    table = Table(title="Mean absolute error of the expected PSNR-Y, in dB")
    for heading in ("pictures", "scale", "rung", "n", "mean's", "ours", "bias", "inside", "width"):
        table.add_column(heading, justify="right", no_wrap=True)
    for title, chosen in _groups(samples):
        for rung in (FLOOR, *RUNGS):
            row = _row(chosen, rung, catalog, by)
            if row is not None:
                table.add_row(*title, rung.key, *row)
    Console(width=120).print(table)


def _groups(samples: Sequence[Sample]) -> Iterator[tuple[tuple[str, str], list[Sample]]]:
    held = [s for s in samples if s.source == "photographs" and s.fold == HELD]
    yield ("held out", "clean"), [s for s in held if s.strength == 0]
    yield ("held out", "JPEG"), [s for s in held if s.strength > 0]
    for name in dict.fromkeys(s.source for s in samples if s.source != "photographs"):
        for scale, quality in CHECKED:
            strength = 0.0 if quality is None else strength_of_quality(quality)
            same = [
                s for s in samples if (s.source, s.scale, s.strength) == (name, scale, strength)
            ]
            yield (name, f"x{scale:g}" + ("" if quality is None else f" JPEG {quality}")), same


def _row(
    samples: Sequence[Sample], rung: Rung, catalog: Catalog, by: Coefficients
) -> list[str] | None:
    """Return the cells of a row: number of pictures, errors of the mean, and ours."""
    found = []
    for sample in (s for s in samples if rung.key in s.reached):
        expected = _expected(sample, by)
        error = _errors(sample, expected, catalog)[rung]
        mean = _constant(sample, rung, catalog)
        if error is not None and mean is not None:
            constant = min(sample.reached[rung.key], MOST_DB) - mean
            inside = -expected.below_db <= error <= expected.above_db
            found.append((constant, error, inside, expected.below_db + expected.above_db))
    if not found:
        return None
    constant, error, inside, width = np.array(found, np.float64).T
    figures = [np.abs(constant).mean(), np.abs(error).mean(), error.mean()]
    return [
        str(len(found)),
        *(f"{figure:.2f}" for figure in figures),
        f"{100 * inside.mean():.0f} %",
        f"{width.mean():.1f}",
    ]


def _constant(sample: Sample, rung: Rung, catalog: Catalog) -> float | None:
    """Return the catalog's mean quality."""
    if rung == FLOOR:
        return resampled_db(sample.scale, sample.strength)
    return catalog.get(rung.model).expected_db(rung.width, sample.scale, sample.strength)


if __name__ == "__main__":
    main()

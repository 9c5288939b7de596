"""Measured costs of every stage and rung on this machine, at warm-up.

Calibration is short: each stage runs at a few small sizes, which a line is fitted to. Measured
times of jobs adjust the lines afterwards. Lines that were measured while others used the machine
are marked as disturbed; they are used until they have been remeasured.
"""

from __future__ import annotations

import logging
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from images.decode import decode
from images.encode import encode, writable_formats
from images.picture import Picture, Raster, rounded
from images.plane_resampling import lanczos
from jobs.formats import ImageFormat
from scheduling.cost_line import UNCALIBRATED, Line
from scheduling.cost_model import CostModel
from scheduling.line_fit import fit_rising
from scheduling.rungs import FLOOR
from scheduling.stages import DECODE, decode_stage, encode_stage, model_stage, stage_of
from scheduling.tiling import Tiling, halo_pixels
from scheduling.work import Work
from workers.disturbance import ALL_CORES, Meter, Needs
from workers.loaded_model import LoadedModel, ModelsByName
from workers.upscale import Engine, upscale

log = logging.getLogger("anysr.workers.calibration")

NETWORK_SIZES = ((32, 64), (96, 192), (96, 384))
"""(input, output) sides of the squares that every rung is measured on."""
SMALL_SIZES = ((16, 32), (48, 96), (32, 128))
"""The same for slow models that are measured while a worker runs: models that are loaded on demand
are up to a hundred times slower than others, and jobs wait meanwhile."""
MAX_WAIT_MS = 250.0
"""Longest time that a job should wait for a measurement that started just before it arrived."""
FLOOR_SIZES = ((32, 64), (96, 288), (192, 768), (768, 1536))
"""One of them large: otherwise costs per row and column would be fitted as costs per pixel."""
CODEC_SIDES = (64, 384)
SMOOTH, PHOTO, NOISE = 0.0, 0.02, 0.3
"""Standard deviation of the grain of pictures that are decoded, as part of the range. Files of the
last have several times the bytes, and take longer."""
CONTENTS = ((SMOOTH, 80), (PHOTO, 80), (PHOTO, 90), (NOISE, 80), (NOISE, 100))
"""Grain and quality: WebP is written by another coder from 90 on."""
ROUNDS = 5
"""Rounds in which everything is measured in turn, so that a temporary disturbance affects few of
the times of each rung. The median counts. The shortest time would be that of a gap in other load,
which only short runs find: it would be too low for short runs in proportion to long ones."""
ENOUGH_MS = 400.0
"""Trials whose rounds have taken this long in total are not repeated, to keep the start short,
except after a round that was disturbed on an otherwise quiet machine."""


BetweenJobs = Callable[[Callable[[], float]], float]
"""Runs a call when no job is running (`Worker.between_jobs`), and returns its result."""


@dataclass(frozen=True)
class Trial:
    """A call to be timed, and the work that it does."""

    stage: str
    work: Work
    call: Callable[[], object]
    prepare: Callable[[], object] = lambda: None
    """Called before it, and not timed."""


def calibrate(models: ModelsByName, needs: Needs = ALL_CORES) -> CostModel:
    """Measure every rung of the models, resampling, decoding and encoding. Blocks for seconds."""
    started = time.perf_counter()
    warm(models)
    trials = (*_floor_trials(), *_network_trials(models), *codec_trials())
    costs = CostModel(measure(trials, needs), tilings=tilings(models))
    for stage, line in costs.lines.items():
        log.info(
            "%s: %.2f ms + %.1f per input and %.1f per output megapixel + %.1f per megabyte",
            *(stage, *line.parts),
        )
    log.info("calibrated in %.1f s", time.perf_counter() - started)
    return costs


def warm(models: ModelsByName) -> None:
    """Run every width of every model once, which loads it."""
    for served in models.values():
        warm_model(served)


def warm_model(served: LoadedModel) -> None:
    """Run every width of one model once."""
    side, _ = NETWORK_SIZES[0]
    for rung in served.rungs:
        upscale(_sample(side), 2 * side, 2 * side, served.at(rung.width), _ignore)


def tilings(models: ModelsByName) -> dict[str, Tiling]:
    """Return the tiling of each model."""
    return {name: served.tiling for name, served in models.items()}


def measure(
    trials: Sequence[Trial],
    needs: Needs = ALL_CORES,
    between_jobs: BetweenJobs = lambda call: call(),
    clock: Callable[[], float] = time.perf_counter,
    meter: Meter | None = None,
) -> dict[str, Line]:
    """Return the line of each stage of the trials. `between_jobs` runs each single measurement.

    The `meter` records the use of the machine. If `needs` are not met, that is logged, and the
    lines are marked as disturbed.
    """
    meter = meter or Meter()
    times: list[list[float]] = [[] for _ in trials]
    disturbed_last: set[int] = set()
    for _ in range(ROUNDS):
        for number, trial in enumerate(trials):
            if sum(times[number]) > ENOUGH_MS and number not in disturbed_last:
                continue
            timed = partial(meter.during, partial(_timed, trial, clock))
            times[number].append(between_jobs(timed))
            disturbed_last.discard(number)
            if needs.crowded(meter.last) and not needs.crowded(meter.usage):
                disturbed_last.add(number)
    disturbance = needs.disturbance(meter.usage, times)
    if disturbance is not None:
        log.warning("the machine was disturbed while costs were measured: %s", disturbance)
    lines = _fitted(trials, [statistics.median(all_times) for all_times in times])
    return {stage: replace(line, disturbed=bool(disturbance)) for stage, line in lines.items()}


def _fitted(trials: Sequence[Trial], times_ms: Sequence[float]) -> dict[str, Line]:
    """Return the lines of all stages; the widths of one model are fitted together."""
    samples: dict[str, list[tuple[Work, float]]] = defaultdict(list)
    for trial, milliseconds in zip(trials, times_ms, strict=True):
        samples[trial.stage].append((trial.work, milliseconds))
    models: dict[str, list[str]] = defaultdict(list)
    for stage in samples:  # narrowest first, in the order of the trials
        models[model_stage(stage)].append(stage)
    lines: dict[str, Line] = {}
    for stages in models.values():
        fitted = fit_rising([samples[stage] for stage in stages])
        lines.update(zip(stages, fitted, strict=True))
    return lines


def measure_networks(
    models: ModelsByName, between_jobs: BetweenJobs, needs: Needs = ALL_CORES
) -> dict[str, Line]:
    """Return the lines of all rungs of warm models, measured between the jobs of a worker."""
    return measure(tuple(_network_trials(models)), needs, between_jobs)


def remeasure(
    models: ModelsByName,
    old: Mapping[str, Line],
    stages: Set[str],
    between_jobs: BetweenJobs,
    needs: Needs = ALL_CORES,
) -> dict[str, Line]:
    """Return the lines of some stages of warm models, measured between the jobs of a worker. Models
    that are slow by their `old` lines are measured on small pictures, to keep jobs from waiting."""
    networks = (
        trial
        for served in models.values()
        for trial in _model_trials(served, _sizes_between_jobs(served, old))
    )
    trials = (*_floor_trials(), *networks, *codec_trials())
    return measure([trial for trial in trials if trial.stage in stages], needs, between_jobs)


def _timed(trial: Trial, clock: Callable[[], float]) -> float:
    """Run a trial and return its milliseconds."""
    trial.prepare()
    since = clock()
    trial.call()
    return (clock() - since) * 1e3


def _floor_trials() -> Iterator[Trial]:
    for source, output in FLOOR_SIZES:
        yield _upscaling(stage_of(FLOOR), source, output, None)


def _network_trials(models: ModelsByName) -> Iterator[Trial]:
    for served in models.values():
        sizes = SMALL_SIZES if served.entry.on_demand else NETWORK_SIZES
        yield from _model_trials(served, sizes)


def _model_trials(served: LoadedModel, sizes: Sequence[tuple[int, int]]) -> Iterator[Trial]:
    for rung in served.rungs:
        for source, output in sizes:
            yield _upscaling(stage_of(rung), source, output, served.at(rung.width))


def _sizes_between_jobs(
    served: LoadedModel, lines: Mapping[str, Line]
) -> Sequence[tuple[int, int]]:
    """Return the sizes to measure a model on: small ones if it is slow by its lines."""
    widest = served.rungs[-1]
    works = (_work(*sides, served.at(widest.width)) for sides in NETWORK_SIZES)
    longest_ms = max(lines.get(stage_of(widest), UNCALIBRATED).at(work) for work in works)
    long = served.entry.on_demand or longest_ms > MAX_WAIT_MS
    return SMALL_SIZES if long else NETWORK_SIZES


def _upscaling(stage: str, source: int, output: int, engine: Engine | None) -> Trial:
    picture = _sample(source)
    work = _work(source, output, engine)
    call = partial(upscale, picture, output, output, engine, _ignore)
    return Trial(stage, work, call) if engine is None else Trial(stage, work, call, engine.load)


def _work(source: int, output: int, engine: Engine | None) -> Work:
    """Return the work of one square, halo and rim included."""
    shown = source**2
    if engine is not None:
        shown += halo_pixels((source, source), (output, output), engine.tiling)
    return Work(shown, output**2, "")


def codec_trials() -> Iterator[Trial]:
    """Yield decoding and encoding of each format, and decoding of photographs in all formats, which
    stands for formats that are not written."""
    for image_format in writable_formats():
        for side in CODEC_SIDES:
            yield _encoding(image_format, side)
            yield _decoding(DECODE, image_format, side, _sample(side))
            for depth in (8, 16) if image_format.facts.keeps_16_bits else (8,):
                yield from _decoding_of_own(image_format, side, depth)


def _encoding(image_format: ImageFormat, side: int) -> Trial:
    work = Work(0, side**2, image_format)
    return Trial(encode_stage(image_format), work, partial(encode, _sample(side), image_format))


def _decoding_of_own(image_format: ImageFormat, side: int, depth: int) -> Iterator[Trial]:
    stage, lossy = decode_stage(image_format), image_format.lossy
    contents = CONTENTS if lossy else tuple((grain, None) for grain in (SMOOTH, PHOTO, NOISE))
    for grain, quality in contents:
        yield _decoding(stage, image_format, side, _sample(side, grain, depth), quality)


def _decoding(
    stage: str, image_format: ImageFormat, side: int, picture: Picture, quality: int | None = None
) -> Trial:
    data = encode(picture, image_format, quality)
    # A line for all formats counts pixels alone, because their bytes do not compare.
    counted = 0 if stage == DECODE else len(data)
    work = Work(side**2, 0, image_format, source_bytes=counted)
    return Trial(stage, work, partial(decode, data, side**2))


def _sample(side: int, grain: float = PHOTO, depth: int = 8) -> Picture:
    """Return a decoded picture that is about as hard to encode as a photograph, or one with more or
    less grain, or of 16 bits."""
    random = np.random.default_rng(side)
    coarse = random.random((3, side // 8, side // 8), dtype=np.float32)
    grains = random.normal(0, grain, (3, side, side)).astype(np.float32)
    planes = np.stack([lanczos(plane, side, side) for plane in coarse]) + grains
    kind = {8: np.uint8, 16: np.uint16}[depth]
    return Picture(Raster(rounded(np.moveaxis(planes, 0, 2), kind).astype(kind)))


def _ignore(part: float) -> None:
    """Report no progress."""

"""What each way to make a picture costs on this machine, measured at warm-up.

Short on purpose: a few small sizes, fitted to a line each. What jobs cost afterwards moves the
pace of the lines.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from jobs.job import ImageFormat
from scheduling.cost_model import DECODE, CostModel, Line, encode_stage, fit, stage_of
from scheduling.rungs import FLOOR
from scheduling.tiling import Tiling, halo_pixels
from scheduling.work import Work
from workers.decode import decode
from workers.encode import encode, writable_formats
from workers.picture import Picture, Planes, Raster
from workers.resampling import lanczos
from workers.upscale import Engine, upscale
from workers.zoo import Served, Zoo

log = logging.getLogger("anysr.workers.calibration")

NETWORK_SIZES = ((32, 64), (96, 192), (96, 384))
"""(input, output) sides of the squares that every rung is measured at."""
BESIDE_SIZES = ((16, 32), (48, 96), (32, 128))
"""The same for models that are loaded on demand: some cost a hundred times what others do, and the
worker makes no picture while one of these is measured."""
FLOOR_SIZES = ((32, 64), (96, 288), (192, 768), (768, 1536))
"""One of them large: what the floor does once for each row and column would be taken for a cost of
each pixel."""
CODEC_SIDES = (64, 384)
ROUNDS = 5
"""Everything is measured in turn, this many times, and the shortest time counts: noise only ever
adds, and what disturbs for a while does not disturb all the times of one rung."""
ONCE_ABOVE_MS = 100.0
"""What takes so long is measured once: it is less disturbed, and a start must not take long."""


Turn = Callable[[Callable[[], float]], float]
"""Runs a call, when nothing else disturbs it, and returns its answer."""


@dataclass(frozen=True)
class Trial:
    """Something to be timed."""

    stage: str
    work: Work
    call: Callable[[], object]


def calibrate(zoo: Zoo) -> CostModel:
    """Measure every rung of the zoo, the floor, decoding and encoding. Blocks for seconds."""
    started = time.perf_counter()
    warm(zoo)
    trials = (*_floor_trials(), *_network_trials(zoo), *_codec_trials())
    costs = CostModel(measure(trials), tilings=tilings(zoo))
    for stage, line in costs.lines.items():
        log.info(
            "%s: %.2f ms + %.1f ms per input and %.1f ms per output megapixel",
            *(stage, line.fixed, line.per_source, line.per_output),
        )
    log.info("calibrated in %.1f s", time.perf_counter() - started)
    return costs


def warm(zoo: Zoo) -> None:
    """Run every width once, which is what loads it."""
    for served in zoo.values():
        warm_model(served)


def warm_model(served: Served) -> None:
    """Run every width of one model once."""
    side, _ = NETWORK_SIZES[0]
    for rung in served.rungs:
        upscale(_decoded(side), 2 * side, 2 * side, served.at(rung.width), _ignore)


def tilings(zoo: Zoo) -> dict[str, Tiling]:
    """Return how each model's pictures are cut."""
    return {name: served.tiling for name, served in zoo.items()}


def measure(
    trials: Sequence[Trial],
    clock: Callable[[], float] = time.perf_counter,
    turn: Turn = lambda call: call(),
) -> dict[str, Line]:
    """Return the line of each stage that is tried. `turn` runs each when it is its turn."""
    shortest = [float("inf")] * len(trials)
    for again in range(ROUNDS):
        for number, trial in enumerate(trials):
            if again and shortest[number] > ONCE_ABOVE_MS:
                continue
            shortest[number] = min(shortest[number], turn(partial(_timed, trial, clock)))
    samples: dict[str, list[tuple[Work, float]]] = defaultdict(list)
    for trial, milliseconds in zip(trials, shortest, strict=True):
        samples[trial.stage].append((trial.work, milliseconds))
    return {stage: fit(measured) for stage, measured in samples.items()}


def measure_networks(zoo: Zoo, turn: Turn) -> dict[str, Line]:
    """Return the lines of all rungs of a warm zoo, measured beside the work of a running worker."""
    return measure(tuple(_network_trials(zoo)), turn=turn)


def _timed(trial: Trial, clock: Callable[[], float]) -> float:
    """Run a trial; return its milliseconds."""
    since = clock()
    trial.call()
    return (clock() - since) * 1e3


def _floor_trials() -> Iterator[Trial]:
    for source, output in FLOOR_SIZES:
        yield _upscaling(stage_of(FLOOR), source, output, None)


def _network_trials(zoo: Zoo) -> Iterator[Trial]:
    for served in zoo.values():
        sizes = BESIDE_SIZES if served.entry.on_demand else NETWORK_SIZES
        for rung in served.rungs:
            for source, output in sizes:
                yield _upscaling(stage_of(rung), source, output, served.at(rung.width))


def _upscaling(stage: str, source: int, output: int, engine: Engine | None) -> Trial:
    picture = _decoded(source)
    work = _work(source, output, engine)
    return Trial(stage, work, lambda: upscale(picture, output, output, engine, _ignore))


def _work(source: int, output: int, engine: Engine | None) -> Work:
    """Return the work of one square, as whoever makes it sees it."""
    shown = source**2
    if engine is not None:
        shown += halo_pixels((source, source), (output, output), engine.tiling)
    return Work(shown, output**2, "")


def _codec_trials() -> Iterator[Trial]:
    """Decoding, of all formats together, and encoding each format."""
    for image_format in writable_formats():
        for side in CODEC_SIDES:
            yield from _codec(image_format, side)


def _codec(image_format: ImageFormat, side: int) -> Iterator[Trial]:
    picture, pixels = Picture(_sample(side)), side**2  # planes, as networks make them
    data = encode(picture, image_format)
    written, read = Work(0, pixels, image_format), Work(pixels, 0, image_format)
    yield Trial(encode_stage(image_format), written, lambda: encode(picture, image_format))
    yield Trial(DECODE, read, lambda: decode(data, pixels))


def _decoded(side: int) -> Picture:
    """Return a picture as it comes out of a file."""
    return Picture(Raster(_sample(side).integers(8)))


def _sample(side: int) -> Planes:
    """Return what is about as hard to encode as a photograph."""
    random = np.random.default_rng(side)
    coarse = random.random((3, side // 8, side // 8), dtype=np.float32)
    grain = random.normal(0, 0.02, (3, side, side)).astype(np.float32)
    return Planes(np.stack([lanczos(plane, side, side) for plane in coarse]) + grain)


def _ignore(part: float) -> None:
    """Calibration has nobody to tell, and nothing to stop for."""

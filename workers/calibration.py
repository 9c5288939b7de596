"""What each way to make a picture costs on this machine, measured at warm-up.

Short on purpose: a few small sizes, fitted to a line each. What jobs cost afterwards moves the
pace of the lines. Running every width once is also what loads and warms it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import numpy as np

from jobs.job import ImageFormat
from scheduling.cost_model import DECODE, CostModel, Line, encode_stage, fit, stage_of
from scheduling.rungs import FLOOR
from scheduling.tiling import halo_pixels
from scheduling.work import Work
from workers.decode import decode
from workers.encode import encode, writable_formats
from workers.picture import Picture
from workers.resampling import lanczos
from workers.upscale import Engine, upscale
from workers.zoo import Zoo

log = logging.getLogger("anysr.workers.calibration")

NETWORK_SIZES = ((32, 64), (96, 192), (96, 384))
"""(input, output) sides of the squares that every rung is measured at."""
FLOOR_SIZES = ((32, 64), (96, 288), (192, 768))
CODEC_SIDES = (64, 384)
REPEATS = 3
REPEAT_BELOW_MS = 100.0
"""Short measurements are repeated, and the shortest one counts: noise only ever adds."""

Samples = list[tuple[Work, float]]


def calibrate(zoo: Zoo) -> CostModel:
    """Measure every rung of the zoo, the floor, decoding and encoding. Blocks for seconds."""
    started = time.perf_counter()
    costs = CostModel()
    costs.lines[stage_of(FLOOR)] = _network_line(None, FLOOR_SIZES)
    for name, served in zoo.items():
        costs.tilings[name] = served.tiling
        for rung in served.rungs:
            costs.lines[stage_of(rung)] = _network_line(served.at(rung.width), NETWORK_SIZES)
    costs.lines |= _codec_lines()
    for stage, line in costs.lines.items():
        log.info(
            "%s: %.2f ms + %.1f ms per input and %.1f ms per output megapixel",
            *(stage, line.fixed, line.per_source, line.per_output),
        )
    log.info("calibrated in %.1f s", time.perf_counter() - started)
    return costs


def _network_line(engine: Engine | None, sizes: tuple[tuple[int, int], ...]) -> Line:
    smallest, _ = sizes[0]
    upscale(_sample(smallest), 2 * smallest, 2 * smallest, engine, _ignore)  # loads and warms
    samples: Samples = []
    for source, output in sizes:
        picture = _sample(source)
        ms = _measure(lambda p=picture, n=output: upscale(p, n, n, engine, _ignore))  # type: ignore[misc]
        samples.append((_work(source, output, engine), ms))
    return fit(samples)


def _work(source: int, output: int, engine: Engine | None) -> Work:
    """Return the work of one square, as whoever makes it sees it."""
    shown = source**2
    if engine is not None:
        shown += halo_pixels((source, source), (output, output), engine.tiling)
    return Work(shown, output**2, "")


def _codec_lines() -> dict[str, Line]:
    """Return the lines of decoding (of all formats together) and of encoding each format."""
    lines: dict[str, Line] = {}
    decoding: Samples = []
    for image_format in writable_formats():
        encoding: Samples = []
        for side in CODEC_SIDES:
            written, read = _codec_samples(image_format, side)
            encoding.append(written)
            decoding.append(read)
        lines[encode_stage(image_format)] = fit(encoding)
    lines[DECODE] = fit(decoding)
    return lines


def _codec_samples(
    image_format: ImageFormat, side: int
) -> tuple[tuple[Work, float], tuple[Work, float]]:
    picture, pixels = _sample(side), side**2
    data = encode(picture, image_format)
    writing = _measure(lambda: encode(picture, image_format))
    reading = _measure(lambda: decode(data, pixels))
    return (Work(0, pixels, image_format), writing), (Work(pixels, 0, image_format), reading)


def _measure(call: Callable[[], object]) -> float:
    """Return the ms of a call."""
    first = _timed(call)
    if first > REPEAT_BELOW_MS:
        return first
    return min(first, *(_timed(call) for _ in range(REPEATS - 1)))


def _timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1e3


def _sample(side: int) -> Picture:
    """Return a picture that is about as hard to encode as a photograph."""
    random = np.random.default_rng(side)
    coarse = random.random((3, side // 8, side // 8), dtype=np.float32)
    grain = random.normal(0, 0.02, (3, side, side)).astype(np.float32)
    return Picture(np.stack([lanczos(plane, side, side) for plane in coarse]) + grain)


def _ignore(part: float) -> None:
    """Calibration has nobody to tell, and nothing to stop for."""

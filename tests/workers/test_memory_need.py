"""The estimated memory of a job: an upper bound of the measured, and the response to a shortage."""

from __future__ import annotations

import multiprocessing
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from images.encode import encode
from images.limits import Limits
from images.picture import Picture, Raster
from jobs.errors import Overloaded
from jobs.formats import ImageFormat
from jobs.job import Job
from models.catalog import SHIPPED, Precision
from scheduling.tiling import Tiling, tiling_of
from tests.workers.workbench import Gated, a_job, default_entry
from workers.allocator import configure, trim
from workers.loaded_model import LoadedModel
from workers.memory import (
    MIN_TILE_PIXELS,
    WORKSPACE_BYTES,
    fit_to_memory,
    peak_bytes,
    sample_bytes_of,
)
from workers.pipeline import Progress, run_pipeline
from workers.runtimes.base import Session
from workers.runtimes.onnx import OnnxSession
from workers.runtimes.openvino import OpenVinoSession
from workers.upscale import Engine

SIDE = 1024
"""Of the source: four tiles of the default size, and an output of 4.2 megapixels."""
LIMITS = Limits(SIDE**2, 4 * SIDE**2)


def samples(channels: int = 3, depth: type[np.uint8] | type[np.uint16] = np.uint8) -> Raster:
    random = np.random.default_rng(0)
    return Raster(random.integers(0, 256, (SIDE, SIDE, channels), depth))


def large_job(image_format: ImageFormat = ImageFormat.PNG) -> Job:
    sides = {"source_width": SIDE, "source_height": SIDE}
    larger = {"output_width": 2 * SIDE, "output_height": 2 * SIDE}
    return a_job(output_format=image_format, **sides, **larger)


def measure(runtime: str, image_format: ImageFormat, channels: int) -> tuple[int, int]:
    """Return the measured and the estimated peak of a job, in bytes."""
    configure()
    entry = default_entry()
    session: Session | None = None
    if runtime == "onnx":
        session = OnnxSession(SHIPPED, entry, threads=2)
    elif runtime == "openvino":
        session = OpenVinoSession(SHIPPED, entry, Precision.INT8, threads=2)
    engine = None
    if session is not None:
        engine = LoadedModel(entry, session, tiling_of(entry)).at(entry.widths[0].width)
    source = encode(Picture(samples(channels)), ImageFormat.PNG)
    small = encode(Picture(Raster(samples(channels).samples[:40, :48])), image_format)
    run_pipeline(a_job(output_format=image_format), small, LIMITS, lambda _: engine, Progress())
    trim()
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    job = large_job(image_format)
    run_pipeline(job, source, LIMITS, lambda _: engine, Progress())
    estimated = peak_bytes(job, sample_bytes_of(source, LIMITS), engine)
    return status("VmHWM") - before, estimated


def status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the peak")
@pytest.mark.parametrize(
    ("runtime", "image_format", "channels"),
    [
        ("onnx", ImageFormat.PNG, 3),
        ("openvino", ImageFormat.JPEG, 3),
        ("resampled", ImageFormat.PNG, 4),
        ("resampled", ImageFormat.WEBP, 3),
        ("resampled", ImageFormat.JPEG, 1),
    ],
)
def test_the_estimate_is_above_the_measured_peak_but_not_far(
    runtime: str, image_format: ImageFormat, channels: int
) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        measured, estimated = pool.apply(measure, (runtime, image_format, channels))
    print(f"{runtime} {image_format} {channels}: {measured / 1e6:.0f} of {estimated / 1e6:.0f} MB")
    assert (estimated - WORKSPACE_BYTES) / 4 < measured <= estimated


@pytest.mark.parametrize(
    ("channels", "depth", "expected"),
    [(1, np.uint8, 1), (2, np.uint8, 2), (3, np.uint8, 3), (4, np.uint8, 4), (3, np.uint16, 6)],
)
def test_the_header_tells_the_bytes_of_a_pixel(
    channels: int, depth: type[np.uint8] | type[np.uint16], expected: int
) -> None:
    data = encode(Picture(samples(channels, depth)), ImageFormat.PNG)
    assert sample_bytes_of(data, LIMITS) == expected


@pytest.fixture(scope="module")
def payload() -> bytes:
    return encode(Picture(samples()), ImageFormat.PNG)


ENGINE = Engine(Gated(), Tiling(halo=8))


def test_enough_memory_changes_nothing_and_needs_no_header() -> None:
    enough = peak_bytes(large_job(), 8, ENGINE)
    assert fit_to_memory(large_job(), b"no image", LIMITS, ENGINE, enough) is ENGINE


def test_short_memory_makes_tiles_just_small_enough(payload: bytes) -> None:
    job = large_job()
    needed = peak_bytes(job, 3, ENGINE)
    fitting = fit_to_memory(job, payload, LIMITS, ENGINE, needed // 2)
    assert fitting is not None
    assert fitting.network is ENGINE.network
    assert peak_bytes(job, 3, fitting) <= needed // 2
    twice = replace(
        fitting.tiling,
        pixels=2 * fitting.tiling.pixels,
        output_pixels=2 * fitting.tiling.output_pixels,
    )
    assert peak_bytes(job, 3, replace(fitting, tiling=twice)) > needed // 2
    assert fitting.tiling.pixels >= MIN_TILE_PIXELS


@pytest.mark.parametrize("engine", [ENGINE, None])
def test_memory_below_that_of_the_samples_is_refused(payload: bytes, engine: Engine | None) -> None:
    enough_for_samples = peak_bytes(large_job(), 3, None)
    with pytest.raises(Overloaded) as caught:
        fit_to_memory(large_job(), payload, LIMITS, engine, enough_for_samples - 1)
    assert caught.value.details["retry_after_s"] > 0
    assert fit_to_memory(large_job(), payload, LIMITS, None, enough_for_samples) is None

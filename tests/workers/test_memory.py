"""A worker's memory for a picture is little more than its samples and its file.

Measured by the kernel in a process of its own, so that allocations of codecs in C count as well.
"""

from __future__ import annotations

import multiprocessing
import sys
from pathlib import Path

import numpy as np
import pytest

from images.encode import encode
from images.limits import Limits
from images.malloc import trim
from images.picture import Picture, Raster
from jobs.formats import ImageFormat
from scheduling.tiling import Tiling
from tests.workers.test_integer_tiles import Stretching
from workers.allocator import configure
from workers.pipeline import Progress, run_pipeline
from workers.upscale import Engine

SIDE = 1200
"""Of the source; the output has 5.8 megapixels, which in floats would be 69 MB."""
WORKSPACE = 16e6
"""Bytes for the planes of a tile or strip, and for the allocator."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the peak")


@pytest.fixture(scope="module")
def peaks() -> dict[tuple[ImageFormat, bool], tuple[int, int]]:
    """Bytes of the encoded file and of the peak, by format and by whether a network made it."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure)


def measure() -> dict[tuple[ImageFormat, bool], tuple[int, int]]:
    configure()
    samples = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    source = encode(Picture(Raster(samples)), ImageFormat.PNG)
    engine = Engine(Stretching(), Tiling(2, 200 * 200))
    found = {}
    for image_format in (ImageFormat.PNG, ImageFormat.JPEG):
        for by in (engine, None):
            make_one(source, image_format, by)  # the first run loads libraries
            trim()
            Path("/proc/self/clear_refs").write_text("5")
            before = status("VmRSS")
            file = make_one(source, image_format, by)
            found[image_format, by is not None] = file, status("VmHWM") - before
    return found


def make_one(source: bytes, image_format: ImageFormat, engine: Engine | None) -> int:
    from tests.workers.workbench import a_job

    sides = {"source_width": SIDE, "source_height": SIDE}
    sides |= {"output_width": 2 * SIDE, "output_height": 2 * SIDE}
    job = a_job(output_format=image_format, **sides)
    limits = Limits(SIDE**2, 4 * SIDE**2)
    return len(run_pipeline(job, source, limits, lambda _: engine, Progress()).picture)


def status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


@pytest.mark.parametrize("image_format", [ImageFormat.PNG, ImageFormat.JPEG])
@pytest.mark.parametrize("by_network", [True, False])
def test_peak_memory_is_samples_file_and_a_workspace(
    peaks: dict[tuple[ImageFormat, bool], tuple[int, int]],
    image_format: ImageFormat,
    by_network: bool,
) -> None:
    """The source's samples are held during enlarging, and the file during encoding."""
    file, peak = peaks[image_format, by_network]
    source, output = 3 * SIDE**2, 12 * SIDE**2
    assert peak <= output + max(source, file) + WORKSPACE

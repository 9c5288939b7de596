"""Peak memory of a worker that makes the largest allowed pictures (Linux).

Each picture is made in a process of its own, which loads and warms all models as a worker does. The
peak is the kernel's high-water mark of the whole process. Other processes write the sources before.
"""

from __future__ import annotations

import io
import math
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from benchmarks.pictures import draw, draw_noise
from images.encode import encode
from images.limits import Limits
from images.malloc import trim
from images.memory import stage_bytes
from images.opening import read_header
from images.picture import Picture, PictureKind, Raster
from jobs.formats import ImageFormat
from jobs.job import JobRequest, OnMiss
from models.catalog import SHIPPED
from scheduling.rungs import FLOOR, Rung
from workers.allocator import configure
from workers.calibration import warm
from workers.loaded_model import load_models
from workers.machine import available_cores
from workers.memory import tile_bytes
from workers.pipeline import Progress, run_pipeline
from workers.settings import WorkerSettings

Answer = TypeVar("Answer")
SCALE = 2
NOISE_QUALITY = 50
"""Quality of the JPEG of noise, so that 25 megapixels are within the body limit of a gateway."""


class Kind(StrEnum):
    """A layout of samples, and their content."""

    DRAWN = "drawn"
    """Edges and gradients, RGB, in a JPEG."""
    NOISE = "noise"
    """RGB, in a JPEG."""
    GREY = "grey"
    """Drawn, in a JPEG."""
    ALPHA = "alpha"
    """Drawn, RGB and alpha, partly transparent, in a PNG."""
    DEEP = "deep"
    """Drawn, RGB of 16 bits, in a PNG."""
    DEEP_ALPHA = "deep-alpha"
    """Drawn, RGB and alpha of 16 bits, partly transparent, in a PNG."""
    PALETTE = "palette"
    """One colour, and noise of 256 in the last rows, in a PNG with a palette."""


@dataclass(frozen=True)
class Case:
    """One picture to make: source, output format and rung."""

    kind: Kind
    image_format: ImageFormat
    rung: Rung


@dataclass(frozen=True)
class Peak:
    """Memory of a process in bytes, and its time."""

    resting: int
    """With all models warm."""
    peak: int
    source: int
    """Size of the encoded source, which is held during the run."""
    result: int
    """Size of the encoded result."""
    bound: int
    """Counted before the run, of what it takes beside `resting` (`images.memory`)."""
    seconds: float


def measure_peaks(
    cases: Sequence[Case], side: int, threads: int, folder: Path = SHIPPED
) -> Iterator[tuple[Case, Peak]]:
    """Yield the peak of each case, with a source of side x side pixels."""
    with tempfile.TemporaryDirectory() as place:
        sources = {kind: Path(place) / kind for kind in dict.fromkeys(c.kind for c in cases)}
        for kind, path in sources.items():
            _in_new_process(_write_source, kind, side, path)
        for case in cases:
            yield (
                case,
                _in_new_process(_make, case, sources[case.kind], threads, folder, Path(place)),
            )


def source_side(output_pixels: int) -> int:
    """Return the side of the largest square source with at most this many output pixels."""
    return max(1, math.isqrt(output_pixels // SCALE**2))


def _in_new_process(call: Callable[..., Answer], *arguments: object) -> Answer:
    """Return the result of a call in a new process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(call, arguments)


def _write_source(kind: Kind, side: int, path: Path) -> None:
    samples = draw_noise(side, side) if kind is Kind.NOISE else draw(side, side)
    if kind is Kind.PALETTE:
        data = _palette_png(side)
    elif kind is Kind.NOISE:
        data = encode(Picture(Raster(samples)), ImageFormat.JPEG, NOISE_QUALITY)
    elif kind is Kind.DRAWN:
        data = encode(Picture(Raster(samples)), ImageFormat.JPEG)
    elif kind is Kind.GREY:
        data = encode(Picture(Raster(samples[:, :, :1]), PictureKind.GREY), ImageFormat.JPEG)
    elif kind is Kind.DEEP:
        data = encode(Picture(Raster(samples.astype(np.uint16) * 257)), ImageFormat.PNG)
    else:
        alpha = np.clip(samples[:, :, :1].astype(int) * 3 - 128, 0, 255).astype(np.uint8)
        samples = np.concatenate((samples, alpha), 2)
        deep = samples.astype(np.uint16) * 257 if kind is Kind.DEEP_ALPHA else samples
        data = encode(Picture(Raster(deep)), ImageFormat.PNG)
    path.write_bytes(data)


def _palette_png(side: int) -> bytes:
    indices = np.zeros((side, side), np.uint8)
    late = indices[-max(1, side // 8) :]
    late[:] = draw_noise(side, len(late))[:, :, 0]
    image = Image.fromarray(indices)
    image.putpalette(draw_noise(16, 16).tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _make(case: Case, source: Path, threads: int, folder: Path, cache: Path) -> Peak:
    configure()
    settings = WorkerSettings(worker_threads=threads or available_cores())
    models = load_models(folder, settings, cache=cache)
    warm(models)
    trim()
    resting = _status("VmRSS")
    payload = source.read_bytes()
    job = _job(case, payload)
    engine = None if case.rung == FLOOR else models[case.rung.model].at(case.rung.width)
    limits = Limits(job.source_width * job.source_height, job.output_width * job.output_height)
    header = read_header(payload, limits.source_pixels)
    stages = stage_bytes(header, job.output_width, job.output_height, job.output_format)
    bound = stages.peak(tile_bytes(job, engine))
    since = time.perf_counter()
    made = run_pipeline(job, payload, limits, lambda _: engine, Progress())
    seconds = time.perf_counter() - since
    return Peak(resting, _status("VmHWM"), len(payload), len(made.picture), bound, seconds)


def _job(case: Case, payload: bytes) -> JobRequest:
    header = read_header(payload, 1 << 40)
    return JobRequest(
        id="bench",
        source_width=header.width,
        source_height=header.height,
        output_width=SCALE * header.width,
        output_height=SCALE * header.height,
        output_format=case.image_format,
        quality=None,
        model=case.rung.model,
        pinned_width=case.rung.width,
        on_miss=OnMiss.DEGRADE,
        budget_ms=1e6,
    )


def _status(field: str) -> int:
    """Return a field of this process's status, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(field)

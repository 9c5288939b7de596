"""The counted memory of a job: an upper bound of the measured, and the response to a shortage.

Measured by the kernel in a process of its own, with the worst content: noise, at quality 100.
"""

from __future__ import annotations

import io
import itertools
import multiprocessing
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks.heic_pictures import ALPHA_OF_HEIC, coded, heic, nclx, picture_item
from images.avif_by_libavif import libavif_found
from images.decode import decode
from images.encode import encode
from images.header import ImageHeader
from images.limits import Limits
from images.malloc import trim
from images.memory import WORKSPACE_BYTES, most_bytes, stage_bytes
from images.opening import read_header
from images.picture import Picture, PictureKind, Raster
from jobs.errors import ImageTooLarge, OutputTooLarge, Overloaded
from jobs.formats import WRITTEN, ImageFormat
from jobs.heartbeat import MachineState
from jobs.job import Job
from models.catalog import SHIPPED, Precision
from scheduling.tiling import Tiling, tiling_of
from tests.support.moving_pictures import Shown, animated_avif, animated_png, deep_animations
from tests.workers.workbench import Gated, a_job, default_entry
from workers.allocator import configure
from workers.loaded_model import LoadedModel
from workers.memory import (
    MIN_TILE_PIXELS,
    bytes_left,
    fit_to_memory,
    most_held_bytes,
    tile_bytes,
    warn_of_little_memory,
    worker_bytes,
)
from workers.pipeline import Progress, run_pipeline
from workers.runtimes.base import Session
from workers.runtimes.onnx import OnnxSession
from workers.runtimes.openvino import OpenVinoSession
from workers.upscale import Engine, TileBytes

SIDE = 1024
"""Of the source: four tiles of the default size, and an output of 4.2 megapixels."""
LIMITS = Limits(SIDE**2, 4 * SIDE**2)
PNG, JPEG, WEBP, AVIF, JXL, TIFF, *_ = ImageFormat
LOOSEST = 1.3
"""The bound, as a multiple of what the worst content takes."""
LOOSEST_OF_JXL = 1.4
"""Noise is lossy at quality 89 at the most, and takes less there than milder pictures at 100."""


def noise(channels: int, deep: bool = False, side: int = SIDE) -> Raster:
    random, kind = np.random.default_rng(0), np.uint16 if deep else np.uint8
    return Raster(random.integers(0, np.iinfo(kind).max + 1, (side, side, channels), kind))


def large_job(image_format: ImageFormat = PNG, side: int = SIDE, lossless: bool = False) -> Job:
    sides = {"source_width": side, "source_height": side}
    larger: dict[str, object] = {"output_width": 2 * side, "output_height": 2 * side}
    larger["background"] = "0080ff"  # gives colours to grey
    # From 90 on a JPEG XL of such fine colours is stored without loss, in less memory.
    highest = 89 if image_format is JXL else 100
    quality = highest if image_format.lossy and not lossless else None
    return a_job(output_format=image_format, quality=quality, lossless=lossless, **sides, **larger)


def source(kind: str, side: int) -> bytes:
    """Return noise of a kind, as a file."""
    if kind.startswith("palette"):
        indices = noise(1, side=side).samples[:, :, 0]
        if kind == "palette, late":
            indices[: side // 4] = 0
        image = Image.fromarray(indices)
        image.putpalette(np.random.default_rng(1).integers(0, 256, 768, np.uint8).tobytes())
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()
    name, bits, image_format = kind.split()
    channels = {"grey": 1, "grey+alpha": 2, "rgb": 3, "rgba": 4}[name]
    raster = noise(channels, bits == "16", side)
    layout = PictureKind.GREY if channels < 3 else PictureKind.COLOUR
    return encode(Picture(raster, layout), ImageFormat(image_format))


def status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


def peak_of(job: Job, payload: bytes, engine: Engine | None) -> int:
    """Return the measured peak of a job, in bytes, beyond what the process held before."""
    trim()
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    run_pipeline(job, payload, LIMITS, lambda _: engine, Progress())
    return status("VmHWM") - before


def measure_kind(
    kind: str, image_format: ImageFormat, side: int, lossless: bool = False
) -> tuple[int, int]:
    """Return the measured and the counted peak of a resampled picture."""
    configure()
    small = a_job(output_format=image_format)
    tiny = encode(Picture(noise(3, side=48).cut(slice(40))), PNG)
    run_pipeline(small, tiny, LIMITS, lambda _: None, Progress())  # loads libraries
    payload, job = source(kind, side), large_job(image_format, side, lossless)
    header = read_header(payload, LIMITS.source_pixels)
    wanted = header, job.output_width, job.output_height, image_format
    counted = stage_bytes(*wanted, lossless=lossless).peak()
    return peak_of(job, payload, None), counted


def measure_wide() -> tuple[int, int]:
    """Return the measured and the counted peak of a picture of eight rows."""
    configure()
    tiny = encode(Picture(noise(3, side=48).cut(slice(40))), PNG)
    run_pipeline(a_job(), tiny, LIMITS, lambda _: None, Progress())  # loads libraries
    samples = noise(3).samples.reshape(8, -1, 3)[:, :60_000]
    payload, width = encode(Picture(Raster(samples)), PNG), 60_000
    header = read_header(payload, LIMITS.source_pixels)
    sides = {"source_width": width, "source_height": 8}
    job = a_job(output_width=2 * width, output_height=16, **sides)
    return peak_of(job, payload, None), stage_bytes(header, 2 * width, 16, PNG).peak()


def measure_network(runtime: str, image_format: ImageFormat) -> tuple[int, int]:
    """Return the measured and the counted peak of a picture that a network makes."""
    configure()
    entry = default_entry()
    session: Session
    if runtime == "onnx":
        session = OnnxSession(SHIPPED, entry, threads=2)
    else:
        session = OpenVinoSession(SHIPPED, entry, Precision.INT8, threads=2)
    engine = LoadedModel(entry, session, tiling_of(entry)).at(entry.widths[0].width)
    small = encode(Picture(Raster(noise(3).samples[:40, :48])), PNG)
    run_pipeline(a_job(output_format=image_format), small, LIMITS, lambda _: engine, Progress())
    payload, job = source("rgb 8 png", SIDE), large_job(image_format)
    header = read_header(payload, LIMITS.source_pixels)
    stages = stage_bytes(header, job.output_width, job.output_height, image_format)
    return peak_of(job, payload, engine), stages.peak(tile_bytes(job, engine))


def in_new_processes(measure: Any, cases: Sequence[tuple[Any, ...]]) -> list[tuple[int, int]]:
    """Return the measured and the counted peak of each case, each in a new process: memory that the
    allocator keeps from one picture would be touched again, or not, by the next."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        return [pool.apply(measure, case) for case in cases]


def assert_bounded(measured: int, counted: int, loosest: float = LOOSEST) -> None:
    assert measured <= counted <= loosest * measured + WORKSPACE_BYTES


needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the peak")


KINDS = (
    ("rgba 16 png", PNG, 1024),
    ("rgba 16 png", WEBP, 700),
    ("rgba 16 png", AVIF, 600),
    ("rgb 16 avif", PNG, 600),
    ("rgb 16 png", AVIF, 600),
    ("grey+alpha 16 png", WEBP, 600),
    ("rgb 8 jpeg", JPEG, 1024),
    ("rgb 8 jpeg", AVIF, 600),
    ("rgb 8 png", WEBP, 700),
    ("rgb 8 png", JXL, 1024),
    ("grey 8 jpeg", JPEG, 1024),
    ("palette, late", PNG, 1024),
    ("palette", PNG, 1024),
    ("rgb 8 png", WEBP, 700, True),
    ("rgba 8 png", WEBP, 600, True),
    ("rgb 8 png", JXL, 1024, True),
    ("rgba 16 png", JXL, 700, True),
    ("rgba 16 png", TIFF, 1024),
    ("rgb 8 jpeg", TIFF, 1024),
    ("grey+alpha 8 png", JPEG, 1024),
)
"""Content, output format, side of the source, and no loss: the worst of each."""


@needs_linux
def test_the_bound_is_above_the_measured_peak_but_not_far() -> None:
    peaks = in_new_processes(measure_kind, KINDS)
    for case, (measured, counted) in zip(KINDS, peaks, strict=True):
        print(f"{case}: {measured / 1e6:.0f} of {counted / 1e6:.0f} MB")
        assert_bounded(measured, counted, LOOSEST_OF_JXL if case[1] is JXL else LOOSEST)


def measure_decoding(kind: str, side: int) -> tuple[int, int]:
    """Return the measured and the counted peak of decoding."""
    configure()
    decode(stored(kind, 48), LIMITS.source_pixels)  # loads libraries
    payload = stored(kind, side)
    header = read_header(payload, LIMITS.source_pixels)
    trim()
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    decode(payload, LIMITS.source_pixels)
    counted = stage_bytes(header, header.width, header.height, PNG).decoding
    return status("VmHWM") - before, counted


def measure_frames(kind: str, channels: int) -> tuple[int, int]:
    """Return the measured and the counted peak of decoding the last frame of a deep animation."""
    configure()
    for animation in deep_animations():
        decode(animation, LIMITS.source_pixels, 1)  # loads libraries
    side, last = 600, 8  # as many frames as AV1 may refer to
    frames = [noise(channels, True, side).samples + np.uint16(n) for n in range(last + 1)]
    if kind == "avif":
        payload = animated_avif([(frame >> 6).astype(np.uint16) for frame in frames], 10)
    else:
        payload = animated_png((side, side), [Shown(f, disposal=2, blend=1) for f in frames])
    del frames
    header = read_header(payload, LIMITS.source_pixels, last)
    trim()
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    decode(payload, LIMITS.source_pixels, last)
    return status("VmHWM") - before, stage_bytes(header, side, side, PNG).decoding


@needs_linux
def test_frames_of_deep_animations_take_no_more_than_is_counted() -> None:
    kinds = ["png"] + ["avif"] * libavif_found()
    cases = [(kind, channels) for kind in kinds for channels in (3, 4)]
    peaks = in_new_processes(measure_frames, cases)
    for case, (measured, counted) in zip(cases, peaks, strict=True):
        print(f"{case}: {measured / 1e6:.0f} of {counted / 1e6:.0f} MB")
        assert measured <= counted


def stored(kind: str, side: int) -> bytes:
    """Return noise as Pillow stores it: a format, and a layout or an option."""
    image_format, layout = kind.split()
    if image_format == "HEIC":
        red, green, blue, alpha = np.moveaxis(noise(4, side=side // 2).samples, 2, 0)
        mask = picture_item(coded([alpha]), ALPHA_OF_HEIC, references=((b"auxl", (1,)),))
        return heic([picture_item(coded([green, blue, red]), nclx(1, 13)), mask])
    lossy = image_format in ("JPEG", "WEBP", "AVIF")
    options: dict[str, Any] = {"quality": 100} if lossy else {}
    if image_format == "AVIF":
        options |= {"speed": 10, "subsampling": "4:4:4"}
    if layout == "turned":
        options["exif"] = Image.Exif()
        options["exif"][0x112] = 6
    options["progressive"] = layout in ("progressive", "CMYK")
    modes = {"turned": "RGB", "progressive": "RGB"}
    pixels = noise(4, side=side).samples
    image = Image.fromarray(pixels).convert(modes.get(layout, layout))
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


STORED = (
    *("JPEG progressive", "JPEG CMYK", "JPEG turned", "PNG P"),
    *("WEBP RGB", "WEBP RGBA", "AVIF RGBA", "TIFF RGBA", "BMP RGB", "GIF P", "HEIC RGBA"),
)


@needs_linux
def test_the_bound_of_decoding_is_above_the_measured_peak() -> None:
    """AVIF is counted as of 10 bits, JPEG with an unusual sampling, PNG with damage that takes a
    copy of the file, TIFF with multiplied transparency, GIF with a screen that is put by; headers
    do not tell."""
    peaks = in_new_processes(measure_decoding, [(kind, SIDE) for kind in STORED])
    for kind, (measured, counted) in zip(STORED, peaks, strict=True):
        print(f"{kind}: {measured / 1e6:.0f} of {counted / 1e6:.0f} MB")
        looser = {"AVIF": 2, "JPEG": 3, "PNG": 2.1, "TIFF": 3.4, "GIF": 1.5}
        assert_bounded(measured, counted, looser.get(kind.split()[0], LOOSEST))


@needs_linux
def test_the_weights_of_a_very_wide_picture_are_counted() -> None:
    [(measured, counted)] = in_new_processes(measure_wide, [()])
    assert_bounded(measured, counted, loosest=2)


@needs_linux
@pytest.mark.parametrize(("runtime", "image_format"), [("onnx", PNG), ("openvino", JPEG)])
def test_the_bound_is_above_the_measured_peak_of_a_network(
    runtime: str, image_format: ImageFormat
) -> None:
    """Not as close: a tile's memory is counted for the widest layers and the hungriest engine."""
    [(measured, counted)] = in_new_processes(measure_network, [(runtime, image_format)])
    assert (counted - WORKSPACE_BYTES) / 4 < measured <= counted


headers = st.builds(
    ImageHeader,
    st.sampled_from(ImageFormat),
    st.integers(1, 30_000),
    st.integers(1, 30_000),
    st.integers(1, 8),
    st.sampled_from([8, 16]),
    st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"]),
    transparent=st.booleans(),
)


@given(headers, st.integers(1, 8), st.sampled_from(WRITTEN))
def test_no_kind_exceeds_the_bound_for_all(
    header: ImageHeader, scale: int, image_format: ImageFormat
) -> None:
    width, height = scale * header.width, scale * header.height
    stages = stage_bytes(header, width, height, image_format)
    assert stages.peak() <= most_bytes(width, height)


@pytest.mark.parametrize(
    ("channels", "deep", "expected"),
    [(1, False, 1), (2, False, 2), (3, False, 3), (4, False, 4), (3, True, 6), (2, True, 4)],
)
def test_the_header_tells_the_bytes_of_a_pixel(channels: int, deep: bool, expected: int) -> None:
    layout = PictureKind.GREY if channels < 3 else PictureKind.COLOUR
    for image_format in (PNG, JXL):
        data = encode(Picture(noise(channels, deep, 40), layout), image_format)
        assert read_header(data, 1600).sample_bytes == expected


@pytest.mark.parametrize(("mode", "expected"), [("L", 2), ("RGB", 4), ("P", 4)])
def test_a_transparent_colour_counts_as_a_channel(mode: str, expected: int) -> None:
    buffer = io.BytesIO()
    transparent: Any = (0, 0, 0) if mode == "RGB" else 0
    Image.new(mode, (4, 4)).save(buffer, "PNG", transparency=transparent)
    assert read_header(buffer.getvalue(), 16).sample_bytes == expected


@pytest.fixture(scope="module")
def payload() -> bytes:
    return encode(Picture(noise(3)), PNG)


ENGINE = Engine(Gated(), Tiling(halo=8))


def needed_by(payload: bytes, engine: Engine | None) -> int:
    job = large_job()
    header = read_header(payload, LIMITS.source_pixels)
    stages = stage_bytes(header, job.output_width, job.output_height, job.output_format)
    return stages.peak(tile_bytes(job, engine))


def test_enough_memory_changes_nothing_and_needs_no_header() -> None:
    job = large_job()
    enough = most_bytes(2 * SIDE, 2 * SIDE) + tile_bytes(job, ENGINE)
    assert fit_to_memory(job, b"no image", LIMITS, ENGINE, enough) is ENGINE
    assert fit_to_memory(job, b"no image", LIMITS, ENGINE, None) is ENGINE


def limits_and_available(most: int) -> list[tuple[Limits, int | None]]:
    """Return the two ways in which memory is short."""
    return [(LIMITS, most), (replace(LIMITS, job_bytes=most), None)]


def test_short_memory_makes_tiles_just_small_enough(payload: bytes) -> None:
    most = needed_by(payload, ENGINE) // 2
    for limits, available in limits_and_available(most):
        fitting = fit_to_memory(large_job(), payload, limits, ENGINE, available)
        assert fitting is not None
        assert fitting.network is ENGINE.network
        assert needed_by(payload, fitting) <= most
        tiling = fitting.tiling
        twice = replace(tiling, pixels=2 * tiling.pixels, output_pixels=2 * tiling.output_pixels)
        assert needed_by(payload, replace(fitting, tiling=twice)) > most
        assert tiling.pixels >= MIN_TILE_PIXELS


@pytest.mark.parametrize("engine", [ENGINE, None])
def test_memory_below_that_of_the_samples_is_refused(payload: bytes, engine: Engine | None) -> None:
    enough = needed_by(payload, None)
    with pytest.raises(Overloaded) as caught:
        fit_to_memory(large_job(), payload, LIMITS, engine, enough - 1)
    assert caught.value.details["retry_after_s"] > 0
    assert fit_to_memory(large_job(), payload, LIMITS, None, enough) is None


@pytest.mark.parametrize("engine", [ENGINE, None])
def test_a_job_above_the_limit_is_refused_for_good(payload: bytes, engine: Engine | None) -> None:
    """Waiting cannot help, however much memory is free."""
    limits = replace(LIMITS, job_bytes=needed_by(payload, None) - 1)
    for available in (None, 1 << 40):
        with pytest.raises(OutputTooLarge, match="at most"):
            fit_to_memory(large_job(), payload, limits, engine, available)


def test_tiles_that_do_not_fit_the_limit_at_their_smallest_are_refused_for_good(
    payload: bytes,
) -> None:
    limits = replace(LIMITS, job_bytes=needed_by(payload, None))
    hungry = replace(ENGINE, pixel_bytes=TileBytes(1 << 20, 24))
    with pytest.raises((ImageTooLarge, OutputTooLarge), match="at most"):
        fit_to_memory(large_job(), payload, limits, hungry, None)


def test_a_run_beside_a_suspended_one_gets_the_rest_of_the_limit() -> None:
    held = most_held_bytes(large_job())
    assert held >= 8 * 5 * SIDE**2
    assert bytes_left(LIMITS, held, None) == LIMITS.job_bytes - held
    assert bytes_left(LIMITS, held, 1000) == 1000


def test_less_memory_than_a_worker_may_take_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def machine(total: int) -> MachineState:
        return MachineState(0.0, 0.0, total // 2, total, None)

    for enough in (None, machine(worker_bytes(LIMITS))):
        warn_of_little_memory(LIMITS, enough)
    assert not caplog.records
    warn_of_little_memory(LIMITS, machine(worker_bytes(LIMITS) - 1))
    assert "ANYSR_MAX_JOB_BYTES" in caplog.text


def test_every_format_and_kind_has_a_way_to_fit_by_default() -> None:
    """At the default limits each kind of 25 megapixels is made at 100 in some format."""
    for mode, depth in itertools.product(("L", "RGB", "RGBA", "P"), (8, 16)):
        header = ImageHeader(PNG, 5000, 5000, 1, depth, mode, transparent=mode == "RGBA")
        fits = [f for f in WRITTEN if stage_bytes(header, 10_000, 10_000, f).peak() <= 3 << 30]
        assert {PNG, JPEG} <= set(fits)

"""The memory that a job will need, estimated before it is decoded, and tiles small enough for it.

A run holds the samples of source and output. Beside them it needs, one after the other, a decoder's
copy of the source, one tile's working memory, and an encoder's copies of the output. The peak is
the largest of the three. All factors are upper bounds of what the kernel reports for the shipped
networks (`anysr bench memory`).
"""

from __future__ import annotations

import logging
from dataclasses import replace

from images.limits import Limits
from images.opening import read_header
from jobs.errors import Overloaded
from jobs.formats import ImageFormat
from jobs.job import JobRequest
from models.catalog import ModelEntry
from scheduling.tiling import plan_tiles
from workers.upscale import Engine

log = logging.getLogger("anysr.workers.memory")

RETRY_AFTER_S = 2
"""Wait recommended to a refused caller: other runs on the machine end within seconds."""
MIN_TILE_PIXELS = 64 * 64
"""Input pixels of the smallest tiles; smaller ones would mostly compute their halos."""

INPUT_BYTES, CHANNEL_BYTES, OUTPUT_BYTES = 600, 16, 24
"""Working memory of a tile: per input pixel, per input pixel and channel of the network's widest
layers, and per output pixel."""
NON_LOCAL_FACTOR = 4
"""On the first two, for networks that are not exactly local: attention, and layers over all pixels.
"""
BOUNDED_TILE_BYTES = 6 << 30
"""Of all output pixels of a tile, for networks that limit these (`ModelEntry.tile_output_pixels`)
because their heads compute large features for each: up to 6 GB were measured."""
PILLOW_BYTES = 4
"""Per pixel of a picture in Pillow, colour or not."""
LOSSY_BYTES = 16
"""Per output pixel: the planes that the encoders of WebP and AVIF compute."""
WORKSPACE_BYTES = 16 << 20
"""Of any job: strips in floats, compression state, and what the allocator does not reuse."""
MAX_SAMPLE_BYTES = 8
"""Of a pixel in RGB and alpha of 16 bits."""

_CHANNELS = {"1": 1, "L": 1, "I": 1, "I;16": 1, "LA": 2, "RGB": 3, "CMYK": 3, "YCbCr": 3}
"""By Pillow's name of the layout; all others have at most 4."""


def fit_to_memory(
    job: JobRequest, payload: bytes, limits: Limits, engine: Engine | None, available_bytes: int
) -> Engine | None:
    """Return an engine whose tiles fit the available memory: the same one, or one with smaller
    tiles. Raises Overloaded where no tiles do, and as `read_header` does."""
    if peak_bytes(job, MAX_SAMPLE_BYTES, engine) <= available_bytes:
        return engine
    sample_bytes = sample_bytes_of(payload, limits)
    fitting = engine
    while (needed := peak_bytes(job, sample_bytes, fitting)) > available_bytes:
        smallest = fitting is None or fitting.tiling.pixels <= MIN_TILE_PIXELS
        if smallest or peak_bytes(job, sample_bytes, None) > available_bytes:
            log.warning("refused: %d bytes needed, %d available", needed, available_bytes)
            raise Overloaded(
                "The worker has too little memory for this picture at the moment; try again later "
                "or ask for a smaller scale.",
                retry_after_s=RETRY_AFTER_S,
            )
        assert fitting is not None
        fitting = _with_half_tiles(fitting)
    if fitting is not None and fitting is not engine:
        log.info("memory is short: tiles of at most %d pixels", fitting.tiling.pixels)
    return fitting


def peak_bytes(job: JobRequest, sample_bytes: int, engine: Engine | None) -> int:
    """Return the estimated peak of a job, beyond what the worker holds at rest and the payload.

    `sample_bytes` is the size of a pixel over all its channels; without an engine the picture is
    resampled, in strips that need next to nothing.
    """
    source_pixels = job.source_width * job.source_height
    output_pixels = job.output_width * job.output_height
    source, output = sample_bytes * source_pixels, sample_bytes * output_pixels
    decoding = 2 * source + PILLOW_BYTES * source_pixels
    tile = 0 if engine is None else _tile_bytes(job, engine)
    encoding = 2 * output  # the file is at most about as large as the samples
    if job.output_format is not ImageFormat.PNG:
        encoding += PILLOW_BYTES * output_pixels  # Pillow's copy, or transparency on white
    if job.output_format in (ImageFormat.WEBP, ImageFormat.AVIF):
        encoding += LOSSY_BYTES * output_pixels
    return WORKSPACE_BYTES + max(decoding, source + output + tile, encoding)


def pixel_bytes_of(entry: ModelEntry) -> tuple[int, int]:
    """Return the working memory of a tile of a model, per input pixel and per output pixel."""
    per_input = INPUT_BYTES + CHANNEL_BYTES * entry.widths[-1].channels
    if entry.halo is None:
        per_input *= NON_LOCAL_FACTOR
    if entry.tile_output_pixels is None:
        return per_input, OUTPUT_BYTES
    return per_input, max(OUTPUT_BYTES, BOUNDED_TILE_BYTES // entry.tile_output_pixels)


def sample_bytes_of(payload: bytes, limits: Limits) -> int:
    """Return the bytes of a decoded pixel over all channels, by the header. Raises as
    `read_header` does."""
    header = read_header(payload, limits.source_pixels)
    return _CHANNELS.get(header.mode, 4) * header.bit_depth // 8


def _tile_bytes(job: JobRequest, engine: Engine) -> int:
    """Return the working memory of the largest tile."""
    sizes = (job.source_height, job.source_width), (job.output_height, job.output_width)
    tiles = plan_tiles(*sizes, engine.tiling)
    per_input, per_output = engine.pixel_bytes
    return max(per_input * t.window_pixels + per_output * t.made_pixels for t in tiles)


def _with_half_tiles(engine: Engine) -> Engine:
    tiling = engine.tiling
    pixels, output_pixels = tiling.pixels // 2, max(1, tiling.output_pixels // 2)
    return replace(engine, tiling=replace(tiling, pixels=pixels, output_pixels=output_pixels))

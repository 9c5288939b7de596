"""The memory that a job will need, estimated before it is decoded, and tiles small enough for it.

`images.memory` counts what any run of the picture takes. A network adds the working memory of one
tile, by upper bounds of what the kernel reports for the shipped networks (`anysr bench memory`).
"""

from __future__ import annotations

import logging
from dataclasses import replace

from images.limits import Limits
from images.memory import (
    StageBytes,
    check_memory,
    most_bytes,
    samples_bytes,
    stage_bytes,
    too_much_memory,
)
from images.opening import read_header
from jobs.errors import Overloaded
from jobs.heartbeat import MachineState
from jobs.job import JobRequest
from models.catalog import ModelEntry
from scheduling.tiling import patch_pixels, plan_tiles
from workers.upscale import Engine, TileBytes

log = logging.getLogger("anysr.workers.memory")

RETRY_AFTER_S = 2
"""Wait recommended to a refused caller: other runs on the machine end within seconds."""
MIN_TILE_PIXELS = 64 * 64
"""Input pixels of the smallest tiles; smaller ones would mostly compute their halos."""

INPUT_BYTES, CHANNEL_BYTES, OUTPUT_BYTES = 600, 16, 24
"""Working memory of a tile: per input pixel, per input pixel and channel of the network's widest
layers, and per output pixel."""
ENLARGED_BYTES = 36
"""Of a foreign graph, per pixel of a tile and of its enlarged form: three channels in the graph's
numbers, stitched, and half resampled."""
NON_LOCAL_FACTOR = 4
"""On the first two, for networks that are not exactly local: attention, and layers over all pixels.
"""
BOUNDED_TILE_BYTES = 6 << 30
"""Of all output pixels of a tile, for networks that limit these (`ModelEntry.tile_output_pixels`)
because their heads compute large features for each: up to 6 GB were measured."""

RESTING_BYTES = 704 << 20
"""What a worker holds beside a job: process and models of the ladder (570 MB at most were measured,
after pictures of many sizes), and an encoded source twice, as it was received and as it is read.
Models that are loaded on demand add their own."""


CONCURRENT_JOB_BYTES = 256 << 20
"""What a small job may take beside other runs of a worker, which may take all together what one job
may (`Limits.job_bytes`). At most 101 MB are samples, encoder and workspace of a job of
`jobs.job.SMALL_FOOTPRINT`, 67 MB are its encoded source, twice, and the rest is for a tile."""
SOURCE_BYTES = 64 << 20
"""Of these for the encoded source."""


def worker_bytes(limits: Limits) -> int:
    """Return the most that a worker's process takes. Containers get as much
    (`tests/deploy/test_memory_limits.py`)."""
    return RESTING_BYTES + CONCURRENT_JOB_BYTES + limits.job_bytes


def warn_of_little_memory(limits: Limits, machine: MachineState | None) -> None:
    """Log a warning where container or machine have less than a worker may take."""
    needed = worker_bytes(limits)
    if machine is not None and machine.memory_total_bytes < needed:
        log.warning(
            "a job may need %d MB in all, and there are %d: raise the memory of this container or "
            "machine, or lower ANYSR_MAX_JOB_BYTES",
            needed // 10**6,
            machine.memory_total_bytes // 10**6,
        )


def fit_to_memory(
    job: JobRequest,
    payload: bytes,
    limits: Limits,
    engine: Engine | None,
    available_bytes: int | None,
) -> Engine | None:
    """Return an engine whose tiles fit the limit and the available memory (None: unknown): the same
    one, or one with smaller tiles.

    Raises OutputTooLarge and ImageTooLarge where no tiles fit the limit, Overloaded where none fit
    the available memory, and as `read_header` does.
    """
    most = limits.job_bytes if available_bytes is None else min(limits.job_bytes, available_bytes)
    if most_bytes(job.output_width, job.output_height) + tile_bytes(job, engine) <= most:
        return engine
    header = read_header(payload, limits.source_pixels, job.frame)
    wanted = header, job.output_width, job.output_height, job.output_format
    check_memory(*wanted, limits.job_bytes, lossless=job.lossless)
    stages = stage_bytes(*wanted, lossless=job.lossless)
    fitting = _with_small_tiles(job, engine, stages, most)
    needed = stages.peak(tile_bytes(job, fitting))
    if needed > limits.job_bytes:
        held = tile_bytes(job, fitting)
        raise too_much_memory(*wanted, limits.job_bytes, held, lossless=job.lossless)
    if needed > most:
        log.warning("refused: %d bytes needed, %d available", needed, most)
        raise too_little_memory()
    if fitting is not None and fitting is not engine:
        log.info("memory is short: tiles of at most %d pixels", fitting.tiling.pixels)
    return fitting


def too_little_memory() -> Overloaded:
    """Return the error of a job for which memory is short at the moment."""
    return Overloaded(
        "The worker has too little memory for this picture at the moment; try again later "
        "or ask for a smaller scale.",
        retry_after_s=RETRY_AFTER_S,
    )


def most_held_bytes(job: JobRequest) -> int:
    """Return the most that a job holds between two tiles, whatever the kind of its picture."""
    source_pixels = job.source_width * job.source_height
    return samples_bytes(source_pixels, job.output_width * job.output_height)


def bytes_left(limits: Limits, suspended_bytes: int, available_bytes: int | None) -> int:
    """Return what a run may take beside a suspended one: both together keep to the limit of one."""
    left = limits.job_bytes - suspended_bytes
    return left if available_bytes is None else min(left, available_bytes)


def concurrent_job_bytes(limits: Limits, available_bytes: int | None) -> int:
    """Return what a small job may take beside one that goes on; 0 where the machine has less left
    than it might need."""
    if available_bytes is not None and available_bytes < CONCURRENT_JOB_BYTES:
        return 0
    return min(limits.job_bytes, CONCURRENT_JOB_BYTES - SOURCE_BYTES)


def can_run_concurrently(entry: ModelEntry) -> bool:
    """Return whether any picture can be cut into tiles that are small enough to run beside another
    job: for networks of ours that are exactly local."""
    return entry.halo is not None and entry.adapter is None and entry.tile_output_pixels is None


def tile_bytes(job: JobRequest, engine: Engine | None) -> int:
    """Return the working memory of a job's largest tile; 0 without an engine: the picture is
    resampled in strips."""
    if engine is None:
        return 0
    sizes = (job.source_height, job.source_width), (job.output_height, job.output_width)
    tiles = plan_tiles(*sizes, engine.tiling)
    per = engine.pixel_bytes
    return max(
        per.per_input * patch_pixels(tile, engine.tiling)
        + per.per_window * tile.window_pixels
        + per.per_output * tile.made_pixels
        for tile in tiles
    )


def pixel_bytes_of(entry: ModelEntry) -> TileBytes:
    """Return the working memory of a tile of a model."""
    if entry.adapter is not None:
        enlarged = ENLARGED_BYTES * (1 + entry.adapter.scale**2)
        return TileBytes(entry.adapter.pixel_bytes, OUTPUT_BYTES, enlarged)
    per_input = INPUT_BYTES + CHANNEL_BYTES * entry.widths[-1].channels
    if entry.halo is None:
        per_input *= NON_LOCAL_FACTOR
    if entry.tile_output_pixels is None:
        return TileBytes(per_input, OUTPUT_BYTES)
    return TileBytes(per_input, max(OUTPUT_BYTES, BOUNDED_TILE_BYTES // entry.tile_output_pixels))


def with_half_tiles(engine: Engine) -> Engine:
    """Return an engine whose tiles have at most half as many pixels."""
    tiling = engine.tiling
    pixels, output_pixels = max(1, tiling.pixels // 2), max(1, tiling.output_pixels // 2)
    return replace(engine, tiling=replace(tiling, pixels=pixels, output_pixels=output_pixels))


def _with_small_tiles(
    job: JobRequest, engine: Engine | None, stages: StageBytes, most: int
) -> Engine | None:
    """Return an engine with tiles halved until the job takes `most` bytes, or no smaller."""
    while engine is not None and stages.peak(tile_bytes(job, engine)) > most:
        if engine.tiling.pixels <= MIN_TILE_PIXELS:
            break
        engine = with_half_tiles(engine)
    return engine

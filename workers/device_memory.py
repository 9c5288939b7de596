"""Tiles small enough for the memory of the GPU that a network runs on.

What a tile needs is counted as for the worker's own memory (`workers.memory`). Kernels of a GPU may
take more for themselves; where that fails, `workers.tile_queue` halves the tiles once.
"""

from __future__ import annotations

import logging

from jobs.job import JobRequest
from workers.idle_memory import release_memory
from workers.loaded_model import ModelsByName
from workers.machine import USABLE
from workers.memory import MIN_TILE_PIXELS, tile_bytes, too_little_memory, with_half_tiles
from workers.runtimes.base import OnDevice
from workers.upscale import Engine

log = logging.getLogger("anysr.workers.device_memory")


def fit_to_device(job: JobRequest, engine: Engine | None, models: ModelsByName) -> Engine | None:
    """Return an engine whose tiles fit the free memory of its network's device: the same one, or
    one with smaller tiles. A network on the CPU keeps its own tiles, and so does one whose device
    does not tell its free memory.

    Where memory is short, what the `models` keep of earlier runs is freed first; so this
    is not to be called during a run. Raises Overloaded where no tiles fit.
    """
    if engine is None or not isinstance(engine.network, OnDevice):
        return engine
    needed, usable = tile_bytes(job, engine), _usable_bytes(engine.network)
    if usable is None or needed <= usable:
        return engine
    release_memory(models)
    usable = _usable_bytes(engine.network)
    while usable is not None and (needed := tile_bytes(job, engine)) > usable:
        if engine.tiling.pixels <= MIN_TILE_PIXELS:
            log.warning("refused: a tile needs %d bytes of the GPU, %d are free", needed, usable)
            raise too_little_memory()
        engine = with_half_tiles(engine)
    log.info("memory of the GPU is short: tiles of at most %d pixels", engine.tiling.pixels)
    return engine


def _usable_bytes(network: OnDevice) -> int | None:
    free = network.free_bytes()
    return None if free is None else round(USABLE * free)

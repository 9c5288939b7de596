"""Memory that runs short on the device of a network: smaller tiles, one halving, or a refusal.

The errors are the libraries' own: of an arena of ONNX Runtime with a limit, as a GPU's has one, and
of torch.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import onnxruntime
import pytest
import torch

from images.encode import encode
from images.picture import FloatArray, Picture, Raster
from jobs.errors import Overloaded
from jobs.formats import ImageFormat
from jobs.job import Job, JobStatus
from jobs.redis_queue import RedisQueue
from models.catalog import SHIPPED, read_verified
from models.geometry import AxisGrid
from scheduling.load import Load
from scheduling.tiling import Tiling, tiling_of
from tests.support.waiting import PATIENCE_S
from tests.workers.workbench import (
    LIMITS,
    Failing,
    a_job,
    a_worker,
    costs_of,
    default_entry,
    models_of,
    photograph,
)
from workers.device_memory import fit_to_device
from workers.execution import Execution, execute
from workers.loaded_model import LoadedModel
from workers.machine import USABLE
from workers.memory import MIN_TILE_PIXELS, RETRY_AFTER_S, tile_bytes
from workers.runtimes.base import OutOfMemory
from workers.runtimes.onnx import CPU_PROVIDERS, GraphLoader, OnnxNetwork, OnnxSession, options_with
from workers.runtimes.out_of_memory import reported_as_out_of_memory
from workers.upscale import Engine, upscale

ARENA_BYTES = 112 << 20
ALONE = Load(now_ms=0.0, workers=1)
FITTING, HALVED, TOO_LARGE = (64, 96), (160, 600), (640, 640)
"""Heights and widths: of a picture that fits that arena, that fits in two tiles, and that does not
fit in two either. The network takes 1.2 to 1.6 KB per pixel, by what ran before."""


@lru_cache(1)
def limited_network() -> OnnxNetwork:
    """The narrowest shipped network, with at most `ARENA_BYTES` for intermediate values."""
    kind = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    memory = onnxruntime.OrtMemoryInfo("Cpu", kind, 0, onnxruntime.OrtMemType.DEFAULT)
    arena = onnxruntime.OrtArenaCfg({"max_mem": ARENA_BYTES, "arena_extend_strategy": 1})
    onnxruntime.create_and_register_allocator(memory, arena)
    entry = default_entry()
    weights = read_verified(SHIPPED, entry.weights)
    options = options_with(entry.weights.file, weights, threads=1, spin=False)
    options.add_session_config_entry("session.use_env_allocators", "1")
    loader = GraphLoader(SHIPPED, options, weights, CPU_PROVIDERS)
    return OnnxNetwork(entry, entry.widths[0].onnx, loader)


class Limited:
    """A session of that network at every width."""

    def at(self, width: float) -> OnnxNetwork:
        assert width > 0
        return limited_network()


class OnGpu:
    """A network on a device with so much free memory, and more once its session is released."""

    def __init__(self, free: int | None, kept: int = 0) -> None:
        self.free = free
        self.kept = kept

    def at(self, width: float) -> OnGpu:
        assert width > 0
        return self

    def run(
        self, image: FloatArray, rows: AxisGrid, columns: AxisGrid, strength: float = 0.0
    ) -> FloatArray:
        raise NotImplementedError

    def free_bytes(self) -> int | None:
        return self.free

    def release(self) -> None:
        if self.free is not None:
            self.free, self.kept = self.free + self.kept, 0


def drawn(height: int, width: int) -> Picture:
    samples = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return Picture(Raster(samples))


def enlarged(size: tuple[int, int], engine: Engine) -> tuple[FloatArray, int, list[float]]:
    """Return the samples at x2, the number of tiles, and the parts that were reported."""
    parts: list[float] = []
    made = upscale(drawn(*size), 2 * size[0], 2 * size[1], engine, parts.append)
    return made.picture.pixels.samples.astype(np.float32), made.tiles, parts


def job_of(height: int, width: int) -> Job:
    sides = {"source_width": width, "source_height": height}
    return a_job(output_width=2 * width, output_height=2 * height, **sides)


def executed(size: tuple[int, int]) -> Execution:
    payload, models = encode(drawn(*size), ImageFormat.PNG), models_of(Limited())
    costs = costs_of(network_ms=1.0)
    return execute(job_of(*size), payload, models, costs, math.inf, ALONE, LIMITS)


@pytest.mark.parametrize(("size", "tiles"), [(FITTING, 1), (HALVED, 2)])
def test_a_tile_that_does_not_fit_is_halved_and_makes_the_same_picture(
    size: tuple[int, int], tiles: int
) -> None:
    entry = default_entry()
    unlimited = OnnxSession(SHIPPED, entry, threads=1).at(entry.widths[0].width)
    whole, _, _ = enlarged(size, Engine(unlimited, tiling_of(entry)))
    made, ran, parts = enlarged(size, Engine(limited_network(), tiling_of(entry)))
    assert np.abs(made - whole).max() <= 1
    assert ran == tiles
    assert parts == sorted(parts)
    assert parts[-1] == 1.0


def test_the_following_tiles_are_halved_as_well_and_fail_no_more() -> None:
    entry = default_entry()
    height, width = HALVED
    tiling = tiling_of(entry, pixels=height * width)
    session = limited_network()
    made, ran, parts = enlarged((height, 2 * width), Engine(session, tiling))
    assert (ran, len(parts)) == (4, 4)
    assert made.shape == (2 * height, 4 * width, 3)


def test_a_half_that_does_not_fit_either_ends_the_job_as_overloaded() -> None:
    with pytest.raises(OutOfMemory, match="smaller than requested bytes"):
        enlarged(TOO_LARGE, Engine(limited_network(), tiling_of(default_entry())))
    with pytest.raises(Overloaded) as refused:
        executed(TOO_LARGE)
    assert refused.value.details["retry_after_s"] == RETRY_AFTER_S
    assert executed(FITTING).result.tiles == 1  # the session works after that


def test_execution_halves_the_tile() -> None:
    assert executed(HALVED).result.tiles == 2


async def test_a_worker_serves_a_job_whose_memory_ran_out_once(queue: RedisQueue) -> None:
    job = a_job()
    await queue.submissions.submit(job, photograph())
    async with a_worker(queue, models_of(Failing(OutOfMemory("CUDA out of memory")))):
        view = await queue.submissions.wait(job.id, PATIENCE_S)
    assert view.status is JobStatus.SUCCEEDED
    assert view.facts is not None
    assert view.facts.tiles == 2


def fitted(free: int | None, kept: int = 0) -> Engine:
    """Return the engine for a picture of 1024 x 1024 pixels on a device."""
    network, entry = OnGpu(free, kept), default_entry()
    models = {entry.name: LoadedModel(entry, network, Tiling(halo=20))}
    engine = fit_to_device(job_of(1024, 1024), models[entry.name].at(1.0), models)
    assert engine is not None
    return engine


def needed(engine: Engine) -> int:
    return tile_bytes(job_of(1024, 1024), engine)


def test_free_memory_of_the_device_bounds_the_tiles() -> None:
    usual = fitted(None)
    assert fitted(math.ceil(needed(usual) / USABLE)).tiling == usual.tiling
    free = needed(usual) // 2
    smaller = fitted(free)
    assert MIN_TILE_PIXELS <= smaller.tiling.pixels < usual.tiling.pixels
    assert needed(smaller) <= USABLE * free


def test_memory_kept_from_earlier_runs_is_freed_before_tiles_shrink() -> None:
    usual = fitted(None)
    assert fitted(1 << 20, kept=2 * needed(usual)).tiling == usual.tiling


def test_a_tile_that_fits_at_no_size_is_refused() -> None:
    with pytest.raises(Overloaded):
        fitted(1 << 20)


def test_a_network_on_the_cpu_keeps_its_tiles() -> None:
    engine = Engine(limited_network(), tiling_of(default_entry()))
    assert fit_to_device(job_of(1024, 1024), engine, {}) is engine
    assert fit_to_device(job_of(1024, 1024), None, {}) is None


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchs_error_is_recognised_through_torchscript() -> None:
    scripted = torch.jit.script(much_memory)
    with (
        pytest.raises(OutOfMemory, match="can't allocate memory"),
        reported_as_out_of_memory(),
    ):
        scripted(torch.zeros(1))


def much_memory(one: torch.Tensor) -> torch.Tensor:
    """Fails: no machine has a petabyte."""
    return one.repeat(1 << 48)


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(ValueError, match="a bug"), reported_as_out_of_memory():
        raise ValueError("a bug")

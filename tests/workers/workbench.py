"""Shared by tests of workers: jobs, controllable sessions, and a worker to run."""

from __future__ import annotations

import asyncio
import contextlib
import io
import threading
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image
from prometheus_client import CollectorRegistry
from skimage import data

from images.limits import Limits
from images.picture import FloatArray, Picture, PictureKind, Raster, rounded
from jobs.formats import ImageFormat
from jobs.job import Claim, Job, LeaseState
from jobs.queue import JobQueue, Leases
from models.catalog import SHIPPED, ModelEntry, read_catalog
from models.geometry import AxisGrid
from scheduling.cost_line import Line
from scheduling.cost_model import CostModel
from scheduling.rungs import FLOOR, ladder
from scheduling.stages import stage_of
from scheduling.tiling import tiling_of
from telemetry.spans import Untraced
from tests.support.jobs import admitted_job
from tests.support.networks import nearest
from tests.support.waiting import PATIENCE_S
from workers.background import background_task
from workers.current_models import CurrentModels, LoadedModels
from workers.decoders import Decoders
from workers.disturbance import Reading
from workers.heartbeat import Heartbeat
from workers.loaded_model import LoadedModel, ModelsByName
from workers.machine_load import CpuTimes
from workers.metrics import WorkerMetrics
from workers.runtimes.base import Session
from workers.upscale import Engine
from workers.watchdog import Watchdog
from workers.worker import Worker, WorkerParts

LIMITS = Limits(source_pixels=1_000_000, output_pixels=4_000_000)


def photograph(width: int = 48, height: int = 40) -> bytes:
    """A crop of a real photograph as PNG."""
    buffer = io.BytesIO()
    crop = np.ascontiguousarray(data.astronaut()[20 : 20 + height, 150 : 150 + width])
    Image.fromarray(crop).save(buffer, format="PNG")
    return buffer.getvalue()


def picture_of(
    colour: FloatArray,
    alpha: FloatArray | None = None,
    kind: PictureKind = PictureKind.COLOUR,
    bit_depth: int = 16,
) -> Picture:
    """A picture of planes [1 or 3, H, W] and [H, W] in [0, 1]: in 16 bits unless 8 are asked for,
    so that comparisons as floats see hardly any rounding."""
    planes = [*colour, *([] if alpha is None else [alpha])]
    depth = np.uint8 if bit_depth == 8 else np.uint16
    return Picture(Raster(rounded(np.stack(planes, axis=2), depth).astype(depth)), kind)


def a_job(**changes: object) -> Job:
    """A 48 x 40 picture at x2, with time enough."""
    fields = {
        "id": uuid.uuid4().hex,
        "source_width": 48,
        "source_height": 40,
        "output_width": 96,
        "output_height": 80,
        "model": default_entry().name,
        "cheapest_ms": 5.0,
    }
    return admitted_job(**{**fields, **changes})


@lru_cache(1)
def default_entry() -> ModelEntry:
    """The default model of the shipped catalog."""
    catalog = read_catalog(SHIPPED)
    return catalog.get(catalog.default)


def whole(entry: ModelEntry) -> ModelEntry:
    """The entry without the parts of its graphs, so that ONNX Runtime alone can run it."""
    widths = (width.model_copy(update={"trunk": None, "int8": None}) for width in entry.widths)
    return entry.model_copy(update={"head": None, "widths": tuple(widths)})


class Gated:
    """A session that repeats pixels; each tile waits until the gate is open."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.tiles = 0

    def at(self, width: float) -> Gated:
        assert width > 0
        return self

    def run(
        self,
        image: FloatArray,
        rows: AxisGrid,
        columns: AxisGrid,
        strength: float = 0.0,  # noqa: ARG002
    ) -> FloatArray:
        self.tiles += 1
        self.entered.set()
        assert self.gate.wait(PATIENCE_S), "nobody opened the gate"
        return nearest(image, rows, columns)


class Failing:
    """A session that raises a given error once, and works from then on."""

    def __init__(self, error: BaseException) -> None:
        self._errors = [error]

    def at(self, width: float) -> Failing:
        assert width > 0
        return self

    def run(
        self,
        image: FloatArray,
        rows: AxisGrid,
        columns: AxisGrid,
        strength: float = 0.0,  # noqa: ARG002
    ) -> FloatArray:
        if self._errors:
            raise self._errors.pop()
        shape = (*image.shape[:2], len(rows.index), len(columns.index))
        return np.full(shape, 0.5, np.float32)


class ChangedLeases:
    """The leases of a queue, for tests to override single calls of; `renewals` are the states that
    renewals returned."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self.renewals: list[LeaseState] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._leases, name)

    async def renew(self, claim: Claim, progress: float) -> LeaseState:
        self.renewals.append(await self._leases.renew(claim, progress))
        return self.renewals[-1]

    def of(self, queue: JobQueue) -> Any:
        """Return a queue that hands out these leases, as a worker uses it."""
        return SimpleNamespace(leases=self, registry=queue.registry)


class RunClock:
    """The clock of runs, which the test can advance."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def perf_counter(self) -> float:
        return time.perf_counter() + self.ahead_s


class Cores:
    """Two cores whose time the test advances, with rates of use that it can change."""

    def __init__(self, own: float = 1.0, others: float = 0.0, stolen: float = 0.0) -> None:
        self.own, self.others, self.stolen = own, others, stolen
        self._reading = Reading(0.0, 0.0, CpuTimes(0.0, 0.0, 0.0))

    def pass_s(self, seconds: float) -> None:
        wall, own, (total, busy, steal) = self._reading
        cores = CpuTimes(
            total + 2 * seconds,
            busy + (self.own + self.others) * seconds,
            steal + self.stolen * seconds,
        )
        self._reading = Reading(wall + seconds, own + self.own * seconds, cores)

    def read(self) -> Reading:
        return self._reading


def models_of(session: Session, tile_pixels: int = 10**6) -> ModelsByName:
    """The default model in a given session."""
    entry = default_entry()
    return {entry.name: LoadedModel(entry, session, tiling_of(entry, tile_pixels))}


def in_tiles(engine: Engine, **bounds: Any) -> Engine:
    """The engine with another bound on its tiles: `pixels`, `output_pixels`, `halo` or `rim`."""
    return replace(engine, tiling=replace(engine.tiling, **bounds))


def costs_of(network_ms: float, cheapest_ms: float = 1.0) -> CostModel:
    """Every width at the same fixed cost, decoding and encoding nearly free."""
    costs = CostModel(margin=1.0)
    for rung in ladder(default_entry()):
        costs.lines[stage_of(rung)] = Line(network_ms, 0, 0)
    costs.lines[stage_of(FLOOR)] = Line(cheapest_ms, 0, 0)
    for stage in ("decode", *(f"encode:{f}" for f in ImageFormat)):
        costs.lines[stage] = Line(1.0, 0, 0)
    return costs


@contextlib.asynccontextmanager
async def a_worker(
    queue: JobQueue,
    models: ModelsByName,
    costs: CostModel | None = None,
    registry: CollectorRegistry | None = None,
    wait_s: float = 0.1,
    renew_s: float = 0.05,
    available_bytes: int | None = None,
    watchdog: Watchdog | None = None,
    decoders: Decoders | None = None,
) -> AsyncIterator[asyncio.Event]:
    """Run a worker on a queue; yield the event that stops it, and stop it at the end."""
    metrics = WorkerMetrics(registry or CollectorRegistry())
    costs = costs or costs_of(10)
    heartbeat = Heartbeat(queue.registry, f"worker-{uuid.uuid4().hex[:6]}", metrics, every_s=0.1)
    current = CurrentModels(LoadedModels(models, costs))
    watchdog = watchdog or Watchdog(PATIENCE_S, queue.registry.count_stuck_worker)
    common = (
        queue.leases,
        current,
        heartbeat,
        metrics,
        Untraced(),
        LIMITS,
        watchdog,
        renew_s,
        wait_s,
    )
    parts = WorkerParts(
        *common, available_memory=lambda: available_bytes, decoders=decoders or Decoders()
    )
    async with heartbeat.beating():
        heartbeat.warm(current.loaded)
        async with background_task(watchdog.run()), at_work(Worker(parts)) as stopping:
            yield stopping


@contextlib.asynccontextmanager
async def at_work(worker: Worker) -> AsyncIterator[asyncio.Event]:
    """Run a worker; yield the event that stops it, and stop it at the end."""
    stopping = asyncio.Event()
    task = asyncio.create_task(worker.run(stopping))
    try:
        yield stopping
    finally:
        stopping.set()
        async with asyncio.timeout(PATIENCE_S):
            await task

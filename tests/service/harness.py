"""Helpers of the gateway's tests: a catalog, pictures, a scripted worker, a running gateway."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import httpx
from PIL import Image, UnidentifiedImageError

from jobs.backlog import QueueStats
from jobs.errors import AnysrError, CorruptImage
from jobs.formats import ImageFormat
from jobs.heartbeat import BackendState, MachineState, WorkerHeartbeat
from jobs.job import LADDER, Claim, Job, LeaseState, Reason, RunFacts, requirement_of
from jobs.redis_queue import RedisQueue
from models.catalog import Artifact, ModelEntry, QualityEntry, WidthEntry
from models.spec import NetworkSpec
from scheduling.cost_line import Line
from scheduling.cost_model import CostModel
from scheduling.stages import FLOOR_STAGE
from service.gateway import Gateway
from service.snapshot import LiveWorker

MODEL = "drawn-s"
UNSERVED = "drawn-m"
CAPABILITIES = (LADDER, MODEL, *(requirement_of(MODEL, width) for width in (0.25, 0.5, 1.0)))
"""Capabilities of a worker with MODEL."""
RESAMPLING_MS = 3.0
NARROW_MS = 42.0


def model_entry(name: str) -> ModelEntry:
    """A model with widths 0.25, 0.5 and 1 and scales from 1 to 8, which takes a strength."""
    file = Artifact(file=f"{name}.bin", sha256="0" * 64, bytes=1)
    widths = tuple(
        WidthEntry(width=width, channels=round(32 * width), onnx=file) for width in (0.25, 0.5, 1.0)
    )
    quality = QualityEntry(dataset="B100", scale=2.0, width=1.0, psnr_y=32.1, ssim=0.9)
    return ModelEntry(
        name=name,
        description="For tests.",
        licence="Apache-2.0",
        network=NetworkSpec("none"),
        min_scale=1.0,
        max_scale=8.0,
        trained_scales=(1.0, 4.0),
        halo=10,
        widths=widths,
        weights=file,
        quality=(quality,),
        takes_strength=True,
    )


def cost_model() -> CostModel:
    """RESAMPLING_MS for resampling and NARROW_MS and more for networks, at every size."""
    lines = {"decode": Line(1.0, 0.0, 0.0), FLOOR_STAGE: Line(1.0, 0.0, 0.0)}
    lines |= {f"encode:{name}": Line(1.0, 0.0, 0.0) for name in ImageFormat}
    for width, cost in ((0.25, 40.0), (0.5, 60.0), (1.0, 100.0)):
        lines[f"network:{MODEL}@{width:g}"] = Line(cost, 0.0, 0.0)
    return CostModel(lines, margin=1.0)


def cost_by_pixels(ms_per_megapixel: float) -> CostModel:
    """The costs of `cost_model` per megapixel of output; the widest network takes
    `ms_per_megapixel`."""
    factor = ms_per_megapixel / 100.0
    lines = {name: Line(0.0, 0.0, factor * line.fixed) for name, line in cost_model().lines.items()}
    return CostModel(lines, margin=1.0)


def encoded(image: Image.Image, image_format: str = "png", **options: Any) -> bytes:
    """The bytes of an image file."""
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def drawn(width: int = 20, height: int = 12, image_format: str = "png") -> bytes:
    """An image file with a gradient."""
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    return encoded(image, image_format)


def live_worker(
    costs: CostModel,
    models: tuple[str, ...] = (MODEL,),
    capabilities: tuple[str, ...] = CAPABILITIES,
    worker_id: str = "w",
) -> LiveWorker:
    """A ready worker with these costs."""
    heartbeat = WorkerHeartbeat(worker_id, True, models, {}, capabilities=capabilities)
    return LiveWorker(heartbeat, costs)


@dataclass
class ScriptedWorker:
    """Claims from the real queue and resizes by Pillow, once `go` is set."""

    queue: RedisQueue
    go: asyncio.Event = field(default_factory=asyncio.Event)
    claimed: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    claims: list[Claim] = field(default_factory=list)
    failure: AnysrError | None = None
    picture: bytes | None = None
    """The result of every job, in place of a resized picture."""
    worker_id: str = "scripted"
    machine: MachineState | None = None
    backends: Mapping[str, BackendState] = field(default_factory=dict)
    costs: CostModel = field(default_factory=cost_model)

    async def heartbeat(self, ready: bool = True) -> None:
        costs = self.costs.to_dict()
        heartbeat = WorkerHeartbeat(
            *(self.worker_id, ready, (MODEL,), costs),
            machine=self.machine,
            capabilities=CAPABILITIES,
            backends=dict(self.backends),
        )
        await self.queue.registry.publish_heartbeat(heartbeat)

    async def run(self) -> None:
        while True:
            await self.heartbeat()
            claim = await self.queue.leases.claim(self.worker_id, wait_s=0.5)
            if claim is not None:
                self.claims.append(claim)
                self.claimed.set()
                await self.work(claim)

    async def work(self, claim: Claim) -> None:
        progress = 0.0
        while not self.go.is_set():
            await self.heartbeat()
            progress = min(progress + 0.25, 0.75)
            state = await self.queue.leases.renew(claim, progress)
            if state is not LeaseState.HELD:
                self.cancelled.set()
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.02):
                    await self.go.wait()
        await self.deliver(claim)

    async def deliver(self, claim: Claim) -> None:
        try:
            if self.failure is not None:
                raise self.failure
            picture = self.picture
            if picture is None:
                picture = await asyncio.to_thread(resized, claim.payload, claim.job)
        except AnysrError as error:
            await self.queue.leases.fail(claim, error)
            return
        await self.queue.leases.complete(claim, run_facts(claim.job), picture)


def run_facts(job: Job) -> RunFacts:
    """The facts that the scripted worker reports for each run."""
    pinned = job.pinned_width
    return RunFacts(
        model=job.model or MODEL,
        width=1.0 if pinned is None else pinned,
        reason=Reason.WIDEST if pinned is None else Reason.PINNED,
        predicted_ms=102.0,
        run_ms=2.0,
        stages_ms={"queue": 0.5, "decode": 0.5, "network": 1.0, "encode": 0.5},
        expected_db=32.1,
        expected_db_range=(30.8, 33.62),
        strength=job.strength,
        fingerprint=model_entry(job.model or MODEL).fingerprint,
    )


def resized(payload: bytes, job: Job) -> bytes:
    """The picture of a job; CorruptImage if the payload cannot be decoded."""
    try:
        with Image.open(io.BytesIO(payload)) as image:
            large = image.convert("RGB").resize((job.output_width, job.output_height))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise CorruptImage from error
    return encoded(large, job.output_format.value)


@dataclass(frozen=True)
class RunningGateway:
    """A running gateway and a client for it."""

    client: httpx.AsyncClient
    gateway: Gateway
    port: int

    async def upscale(self, picture: bytes | None = None, **params: Any) -> httpx.Response:
        """POST a raw picture to /upscale, by default at scale 2."""
        params = params or {"scale": 2}
        return await self.client.post(
            "/upscale",
            params=params,
            content=drawn() if picture is None else picture,
            headers={"Content-Type": "application/octet-stream"},
        )

    async def post_job(self, **params: Any) -> httpx.Response:
        """POST a raw picture to /jobs, by default at scale 2."""
        return await self.client.post(
            "/jobs",
            params=params or {"scale": 2},
            content=drawn(),
            headers={"Content-Type": "image/png"},
        )

    async def submit(self, **params: Any) -> dict[str, Any]:
        """POST a picture to /jobs, and return the job."""
        response = await self.post_job(**params)
        assert response.status_code == 202, response.text
        job: dict[str, Any] = response.json()
        return job

    async def stats(self) -> QueueStats:
        """The state of the queue."""
        return await self.gateway.queue.submissions.stats()


Start = Callable[..., AbstractAsyncContextManager[RunningGateway]]


def assert_problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Check the shape of a problem, and return its members."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    members: dict[str, Any] = response.json()
    assert members["code"] == code, members
    assert members["status"] == status
    assert members["type"] == f"urn:anysr:error:{code}"
    assert members["title"]
    assert members["detail"]
    assert members["request_id"] == response.headers["x-request-id"]
    return members

"""What the gateway answers in JSON, and how it is made of what the other rooms say."""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel, Field

from jobs.formats import ImageFormat
from jobs.job import (
    TERMINAL_STATUSES,
    BackendState,
    JobStatus,
    JobView,
    MachineState,
    QueueStats,
    Reason,
    RunFacts,
    requirement_of,
)
from models.catalog import Catalog, ModelEntry, QualityEntry
from scheduling.options import Option
from service.admission import Assessment
from service.catalog_store import CatalogStore
from service.dispatcher import error_of
from service.problems import problem
from service.settings import GatewaySettings
from service.snapshot import LiveWorker, Snapshot


class Run(BaseModel):
    """What ran."""

    model: str = Field(examples=["anysr-m"])
    width: float = Field(description="0 for plain resampling.", examples=[0.5])
    reason: Reason
    predicted_ms: float
    run_ms: float = Field(description="Measured from the claim to the encoded picture.")
    stages_ms: dict[str, float]
    expected_db: float | None = Field(
        description="PSNR-Y that is expected of this picture; null where it is not known."
    )
    expected_db_range: tuple[float, float] | None = Field(
        description="Between what two values four of five such pictures come out."
    )
    strength: float = Field(description="How much compression damage was cleaned up, 0 to 1.")
    tiles: int


class JobLinks(BaseModel):
    """Where to go on from a job."""

    self: str
    result: str
    events: str


class JobAnswer(BaseModel):
    """A job as its caller may see it. Times are milliseconds of the queue's clock."""

    id: str
    status: JobStatus
    progress: float = Field(ge=0, le=1)
    submitted_ms: float
    deadline_ms: float
    finished_ms: float | None
    output_width: int
    output_height: int
    run: Run | None = Field(description="What ran, when it has.")
    error: dict[str, Any] | None = Field(description="A problem, when the job has failed.")
    links: JobLinks


class RungAnswer(BaseModel):
    """One way to make a picture. Times are milliseconds."""

    model: str = Field(description="`lanczos` for plain resampling.", examples=["anysr-m"])
    width: float = Field(description="0 for plain resampling.", examples=[0.5])
    expected_ms: float = Field(description="Predicted, from the claim to the encoded picture.")
    safe_ms: float = Field(description="What forty-nine of fifty such runs stay below.")
    budget_ms: int = Field(
        description="The smallest budget with which it can be chosen while nothing else waits or "
        "runs: `safe_ms` and what gateway and queue add, and a little more."
    )
    expected_db: float | None = Field(
        description="Measured PSNR-Y of the model at this width, scale and strength, in the mean "
        "over photographs; null where it is not known, as for plain resampling."
    )


class EstimateAnswer(BaseModel):
    """What a picture would take, and how it could be made. Times are milliseconds."""

    rungs: list[RungAnswer] = Field(
        description="What could be chosen, cheapest first, each better than all before it."
    )
    wait_ms: float = Field(
        description="After how long it would begin if it were sent now with the default budget."
    )
    smallest_budget_ms: int = Field(
        description="The smallest budget that an idle service could meet."
    )
    default_budget_ms: float = Field(
        description="The budget that `POST /upscale` would give it now if it names none."
    )
    output_width: int
    output_height: int


class ModelAnswer(BaseModel):
    """One model."""

    name: str = Field(examples=["anysr-m"])
    description: str
    licence: str
    default: bool
    min_scale: float
    max_scale: float
    fixed_scale: int | None = Field(
        description="The one scale that the network knows: it makes that, and an antialiased "
        "resize makes the smaller one that was asked for; null for a network of any scale."
    )
    trained_scales: tuple[float, float]
    halo: int | None = Field(
        description="Input pixels around a tile that reach its output; null if all of them do."
    )
    exactly_local: bool = Field(
        description="Whether a large picture, made in tiles, is what the whole would be."
    )
    widths: list[float] = Field(description="Narrowest first.", examples=[[0.25, 0.5, 1.0]])
    ready: bool = Field(
        description="Whether a worker has it warm; if not, requests for it get 503."
    )
    on_demand: bool = Field(
        description="Whether it is loaded when it is first asked for: that request gets 503 with "
        "Retry-After."
    )
    in_ladder: bool = Field(
        description="Whether the service chooses it by itself; if not, name it to get it."
    )
    takes_strength: bool = Field(
        description="Whether it can clean up compression damage: `strength` has no effect on "
        "one that does not."
    )
    backends: list[str] = Field(
        description="What runs it in workers that are ready: runtime, and precision of the trunk.",
        examples=[["openvino int8"]],
    )
    quality: list[QualityEntry] = Field(
        description="Measured means in float32, per data set and scale."
    )
    int8_loss_db: dict[str, float] = Field(
        description="By how much it was measured to be lower in int8, by width."
    )


class FormatAnswer(BaseModel):
    """One image format."""

    name: ImageFormat = Field(description="The value of `format`.")
    label: str = Field(description="The name as people write it.", examples=["JPEG"])
    media_type: str = Field(examples=["image/jpeg"])
    suffixes: list[str] = Field(
        description="File suffixes, the usual one first.", examples=[[".jpg", ".jpeg"]]
    )
    max_side: int = Field(description="The longest side in pixels of an output.")
    lossy: bool = Field(description="Whether `quality` has an effect.")


class LimitsAnswer(BaseModel):
    """What this service takes and makes at most."""

    max_body_bytes: int
    max_source_pixels: int
    max_output_pixels: int
    max_side: dict[ImageFormat, int] = Field(
        description="The longest side in pixels of an output in each format."
    )
    formats: list[FormatAnswer] = Field(description="The formats that are read and written.")


class ModelsAnswer(BaseModel):
    """All models, the name of the one that runs when none is asked for, and the limits."""

    default: str
    models: list[ModelAnswer]
    untrained: list[str] = Field(
        description="Networks that are known but have no weights here: asking for one gets 409."
    )
    limits: LimitsAnswer


class WorkerAnswer(BaseModel):
    """One worker that lives."""

    id: str
    ready: bool
    busy: bool
    models: list[str]
    pace: float = Field(
        description="Network time of late over what calibration had found there, of runs that have "
        "the machine to themselves; above 1 the worker has become slower."
    )
    costs_disturbed: bool = Field(
        description="Whether others used the machine while costs were measured there: what is "
        "promised may be off until they are measured again, in a moment when it is idle."
    )
    reloads: int = Field(description="The last call to read the models again that it has followed.")
    broken: dict[str, str] = Field(
        description="Entries of its model folder that it could not load, and why."
    )
    backends: dict[str, BackendState] = Field(
        description="What runs each model there: of the runtimes and precisions that it has, the "
        "fastest that makes the right picture; `refused` says why others do not."
    )
    machine: MachineState | None = Field(
        description="The machine it runs on, in the last second; parts are from 0 to 1."
    )


class QueueAnswer(BaseModel):
    """The queue at the last snapshot."""

    queued: int
    running: int
    oldest_age_ms: float
    backlog_ms: float


class CatalogAnswer(BaseModel):
    """The gateway's own reading of its model folder."""

    reloads: int = Field(description="The last call to read the models again that it has followed.")
    broken: dict[str, str] = Field(description="Entries that it could not read, and why.")


class ReloadAnswer(BaseModel):
    """A call on all gateways and workers to read their models again."""

    reloads: int = Field(description="Its number; who has followed it says so in /health/ready.")


class ReadyAnswer(BaseModel):
    """The service can take jobs."""

    status: str = "ready"
    snapshot_age_ms: float | None = Field(
        description="How long ago the gateway looked at workers and queue; null: never yet."
    )
    workers: list[WorkerAnswer]
    queue: QueueAnswer | None = Field(description="null while nothing is known of it.")
    catalog: CatalogAnswer


class LiveAnswer(BaseModel):
    """The process runs."""

    status: str = "live"


def job_answer(view: JobView, root_path: str = "") -> JobAnswer:
    """Return the answer of a job."""
    job = view.job
    here = f"{root_path}/jobs/{job.id}"
    failed = view.status in TERMINAL_STATUSES - {JobStatus.SUCCEEDED}
    return JobAnswer(
        id=job.id,
        status=view.status,
        progress=min(max(view.progress, 0.0), 1.0),
        submitted_ms=view.submitted_ms,
        deadline_ms=view.deadline_ms,
        finished_ms=view.finished_ms,
        output_width=job.output_width,
        output_height=job.output_height,
        run=None if view.facts is None else _run(view.facts),
        error=problem(error_of(view), job.id) if failed else None,
        links=JobLinks(self=here, result=f"{here}/result", events=f"{here}/events"),
    )


def _run(facts: RunFacts) -> Run:
    return Run(
        model=facts.model,
        width=facts.width,
        reason=facts.reason,
        predicted_ms=facts.predicted_ms,
        run_ms=facts.run_ms,
        stages_ms=facts.stages_ms,
        expected_db=facts.expected_db,
        expected_db_range=facts.expected_db_range,
        strength=facts.strength,
        tiles=facts.tiles,
    )


def estimate_answer(assessment: Assessment) -> EstimateAnswer:
    """Return the answer of what is known of a job that is not sent."""
    job = assessment.job
    return EstimateAnswer(
        rungs=[_rung(option, assessment.budget_for(option)) for option in assessment.options],
        wait_ms=round(assessment.wait_ms, 2),
        smallest_budget_ms=assessment.smallest_budget_ms,
        default_budget_ms=job.budget_ms,
        output_width=job.output_width,
        output_height=job.output_height,
    )


def _rung(option: Option, budget_ms: int) -> RungAnswer:
    return RungAnswer(
        model=option.rung.model,
        width=option.rung.width,
        expected_ms=round(option.expected_ms, 2),
        safe_ms=round(option.safe_ms, 2),
        budget_ms=budget_ms,
        expected_db=option.db,
    )


def models_answer(catalog: Catalog, settings: GatewaySettings, snapshot: Snapshot) -> ModelsAnswer:
    """Return the answer of a catalog, of the limits that are set and of who is ready."""
    models = [_model(entry, entry.name == catalog.default, snapshot) for entry in catalog.models]
    limits = LimitsAnswer(
        max_body_bytes=settings.max_body_bytes,
        max_source_pixels=settings.max_source_pixels,
        max_output_pixels=settings.max_output_pixels,
        max_side={image_format: image_format.max_side for image_format in ImageFormat},
        formats=[_format(image_format) for image_format in ImageFormat],
    )
    return ModelsAnswer(
        default=catalog.default,
        models=models,
        untrained=list(catalog.untrained),
        limits=limits,
    )


def _format(image_format: ImageFormat) -> FormatAnswer:
    return FormatAnswer(
        name=image_format,
        label=image_format.label,
        media_type=image_format.media_type,
        suffixes=list(image_format.facts.suffixes),
        max_side=image_format.max_side,
        lossy=image_format.lossy,
    )


def _model(entry: ModelEntry, default: bool, snapshot: Snapshot) -> ModelAnswer:
    return ModelAnswer(
        name=entry.name,
        description=entry.description,
        licence=entry.licence,
        default=default,
        min_scale=entry.min_scale,
        max_scale=entry.max_scale,
        fixed_scale=entry.fixed_scale,
        trained_scales=entry.trained_scales,
        halo=entry.halo,
        exactly_local=entry.halo is not None,
        widths=[width.width for width in entry.widths],
        ready=bool(snapshot.ready_for(requirement_of(entry.name))),
        on_demand=entry.on_demand,
        in_ladder=entry.in_ladder,
        takes_strength=entry.takes_strength,
        backends=snapshot.backends_of(entry.name),
        quality=list(entry.quality),
        int8_loss_db={f"{w.width:g}": w.int8.loss_db for w in entry.widths if w.int8},
    )


def ready_answer(snapshot: Snapshot, age_s: float, catalogs: CatalogStore) -> ReadyAnswer:
    """Return the workers and the queue of a snapshot, and how the catalog was read."""
    return ReadyAnswer(
        snapshot_age_ms=round(age_s * 1e3, 1) if math.isfinite(age_s) else None,
        workers=[_worker(worker) for worker in snapshot.workers],
        queue=_queue(snapshot.stats),
        catalog=CatalogAnswer(reloads=catalogs.reloads, broken=dict(catalogs.broken)),
    )


def _worker(worker: LiveWorker) -> WorkerAnswer:
    return WorkerAnswer(
        id=worker.worker_id,
        ready=worker.ready,
        busy=worker.busy,
        models=list(worker.models),
        pace=round(worker.pace, 3),
        costs_disturbed=bool(worker.costs.disturbed),
        reloads=worker.reloads,
        broken=dict(worker.broken),
        backends=dict(worker.backends),
        machine=worker.machine,
    )


def _queue(stats: QueueStats | None) -> QueueAnswer | None:
    if stats is None:
        return None
    return QueueAnswer(
        queued=stats.queued,
        running=stats.running,
        oldest_age_ms=stats.oldest_age_ms,
        backlog_ms=stats.backlog_ms,
    )

"""Answer of GET /models."""

from __future__ import annotations

from pydantic import BaseModel, Field

from jobs.formats import WRITTEN, ImageFormat
from jobs.job import requirement_of
from models.catalog import Catalog, ModelEntry, QualityEntry
from service.settings import GatewaySettings
from service.snapshot import Snapshot


class ModelAnswer(BaseModel):
    """One model."""

    name: str = Field(examples=["anysr-m"])
    description: str
    licence: str
    default: bool
    min_scale: float
    max_scale: float
    fixed_scale: int | None = Field(
        description="The only scale of the network; an antialiased resize makes others from its "
        "output. null for a network of any scale."
    )
    trained_scales: tuple[float, float]
    halo: int | None = Field(
        description="Input pixels around a tile that influence its output; null if all of them do."
    )
    exactly_local: bool = Field(
        description="Whether tiles give exactly the same picture as the whole would."
    )
    widths: list[float] = Field(description="Narrowest first.", examples=[[0.25, 0.5, 1.0]])
    ready: bool = Field(
        description="Whether a worker has it warm; if not, requests for it get 503."
    )
    on_demand: bool = Field(
        description="Whether it is loaded at the first request for it, which gets 503 with "
        "Retry-After."
    )
    in_ladder: bool = Field(
        description="Whether the service chooses it by itself; else only requests that name it get "
        "it."
    )
    takes_strength: bool = Field(
        description="Whether it can clean up compression damage; if not, `strength` has no effect."
    )
    backends: list[str] = Field(
        description="Runtime, and precision of the trunk, in workers that are ready.",
        examples=[["openvino int8"]],
    )
    quality: list[QualityEntry] = Field(
        description="Measured means in float32, per data set and scale."
    )
    int8_loss_db: dict[str, float] = Field(
        description="Measured loss of quality in int8, in dB, by width."
    )


class FormatAnswer(BaseModel):
    """One image format."""

    name: ImageFormat = Field(description="The value of `format`.")
    label: str = Field(description="The name as people write it.", examples=["JPEG"])
    media_type: str = Field(examples=["image/jpeg"])
    suffixes: list[str] = Field(
        description="File suffixes, the usual one first.", examples=[[".jpg", ".jpeg"]]
    )
    written_as: ImageFormat = Field(
        description="The format of a result where none is asked for: itself, unless it is only "
        "read."
    )
    max_side: int = Field(description="The longest side in pixels.")
    lossy: bool = Field(description="Whether `quality` has an effect.")
    lossless: bool = Field(description="Whether pictures can be stored without loss.")
    transparency: bool = Field(
        description="Whether transparency is stored; else pictures are flattened on `background`."
    )


class LimitsAnswer(BaseModel):
    """Limits of this service."""

    max_body_bytes: int
    max_source_pixels: int
    max_output_pixels: int
    max_job_bytes: int = Field(
        description="Most memory that making one picture may take, by its size, depth, "
        "transparency and output format."
    )
    max_side: dict[ImageFormat, int] = Field(
        description="The longest side in pixels of an output in each format."
    )
    max_budget_ms: float = Field(description="The largest `latency_budget_ms`.")
    formats: list[FormatAnswer] = Field(
        description="The formats that are read. One is written if it is its own `written_as`."
    )


class ModelsAnswer(BaseModel):
    """All models, the name of the default one, and the limits."""

    default: str
    models: list[ModelAnswer]
    untrained: list[str] = Field(
        description="Networks that are known but have no weights here: a request for one gets 409."
    )
    limits: LimitsAnswer


def models_answer(
    catalog: Catalog, settings: GatewaySettings, snapshot: Snapshot, max_budget_ms: float
) -> ModelsAnswer:
    """Return the answer for a catalog, with the limits in the settings, the largest budget of the
    caller and the ready workers."""
    models = [_model(entry, entry.name == catalog.default, snapshot) for entry in catalog.models]
    limits = LimitsAnswer(
        max_body_bytes=settings.max_body_bytes,
        max_source_pixels=settings.max_source_pixels,
        max_output_pixels=settings.max_output_pixels,
        max_job_bytes=settings.max_job_bytes,
        max_side={image_format: image_format.max_side for image_format in WRITTEN},
        max_budget_ms=max_budget_ms,
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
        written_as=image_format.own_output,
        max_side=image_format.max_side,
        lossy=image_format.lossy,
        lossless=image_format.can_lossless,
        transparency=image_format.facts.keeps_alpha,
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
        in_ladder=entry.chosen_freely,
        takes_strength=entry.takes_strength,
        backends=snapshot.backends_of(entry.name),
        quality=list(entry.quality),
        int8_loss_db={f"{w.width:g}": w.int8.loss_db for w in entry.widths if w.int8},
    )

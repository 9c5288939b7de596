"""The entries of a catalog: a model's files, limits and measured quality."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from models.adapters.record import Adapter
from models.catalog.artifacts import Artifact
from models.catalog.mean_quality import Curve, between, curve_of, resampled_db, strength_of
from models.catalog.records import Record
from models.spec import NetworkSpec
from models.zoo import ZOO

RECENT_RESULTS = 64
"""Of a model's expected quality: those of sixteen scales and strengths. A cache of eight times as
many filled for hours, as long as callers named new scales, and one result takes 5 us."""
WIDTH_TOLERANCE = 0.005
"""Largest difference between a width and a caller's number for it: 0.33 is a third."""


MOST_RIM = 48
"""Largest rim in input pixels: the context of a tile where the network has no halo
(`scheduling.tiling.CONTEXT`)."""


BESIDE_THE_PICTURE = {
    "description",
    "licence",
    "quality",
    "trained_scales",
    "in_ladder",
    "on_demand",
}
"""Fields of an entry that change no picture."""


class Precision(StrEnum):
    """The number format of a network's trunk; its head always runs in float32."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"


COEFFICIENTS = "coefficients"
"""Name of the tensor that is a trunk's output and a head's input."""


class Int8Entry(Record):
    """A trunk in 8 bits (`models.quantisation`)."""

    onnx: Artifact
    loss_db: float = Field(default=0.0, ge=0)
    """Measured loss of PSNR-Y against float32, in dB."""


class WidthEntry(Record):
    """One width: the fraction of the full one, the inner channels, and the ONNX graph."""

    width: float = Field(gt=0, le=1)
    channels: int = Field(ge=1)
    onnx: Artifact
    trunk: Artifact | None = None
    """The part of that graph that may run in lower precision (`models.parts`)."""
    int8: Int8Entry | None = None


def _narrowest_first(widths: tuple[WidthEntry, ...]) -> tuple[WidthEntry, ...]:
    fractions = [entry.width for entry in widths]
    if not fractions or fractions != sorted(set(fractions)):
        raise ValueError("must be at least one, each once and narrowest first")
    return widths


class QualityEntry(Record):
    """Mean PSNR-Y (dB) and SSIM of one width on one data set at one scale."""

    dataset: str
    scale: float
    width: float
    psnr_y: float
    ssim: float


class ModelEntry(Record):
    """One model: its files, limits and measured quality."""

    name: str = Field(min_length=1)
    description: str
    licence: str
    network: NetworkSpec
    min_scale: float
    max_scale: float
    fixed_scale: int | None = Field(default=None, ge=1)
    """The integer scale of a network that has only one; an antialiased resize takes its output to
    smaller scales, and that of a foreign graph to larger ones. None for a network of any scale."""
    trained_scales: tuple[float, float]
    halo: int | None = Field(ge=0)
    """Input pixels around a tile that reach its output; None for a network that is not exactly
    local, where every input pixel reaches every output pixel."""
    rim: int = Field(default=0, ge=0, le=MOST_RIM)
    """Input pixels by which a picture is continued (mirrored) on every side before it is run, so
    that flat colours stay unchanged (`models.rim`). At most the halo."""
    output_halo: int = Field(default=0, ge=0)
    """Neighbouring output pixels, on each side, that an output pixel's colour depends on."""
    tile_output_pixels: int | None = Field(default=None, ge=1)
    """Largest tile in output pixels, if it must be smaller than the worker's own bound."""
    widths: Annotated[tuple[WidthEntry, ...], AfterValidator(_narrowest_first)]
    """Narrowest first, at least one."""
    weights: Artifact
    """Safetensors; the ONNX graphs read their weights from this same file. A foreign graph holds
    its own."""
    head: Artifact | None = None
    """The graph behind the trunks, the same for all widths."""
    torchscript: Artifact | None = None
    quality: tuple[QualityEntry, ...] = ()
    in_ladder: bool = True
    """Whether the service may choose this model by itself. If not, it runs only for callers who
    name it: its quality is not comparable, because it is for other pictures."""

    takes_strength: bool = False
    """Whether the strength of the picture's damage is an input (`models.strength`)."""

    on_demand: bool = False
    """Whether workers load it only after a request for it."""

    adapter: Adapter | None = None
    """How the graph is run, if it is a foreign one; None for graphs that `anysr export` wrote."""

    @model_validator(mode="after")
    def _scale_of_the_graph(self) -> ModelEntry:
        if self.adapter is not None and (
            self.fixed_scale != self.adapter.scale or len(self.widths) != 1
        ):
            raise ValueError("fixed_scale must be the adapter's scale, and there must be one width")
        return self

    @model_validator(mode="after")
    def _rim_within_halo(self) -> ModelEntry:
        if self.halo is not None and self.rim > self.halo:
            raise ValueError(f"rim is {self.rim}, must be at most the halo of {self.halo}")
        return self

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """All files of the model."""
        parts = (
            part
            for width in self.widths
            for part in (width.onnx, width.trunk, width.int8.onnx if width.int8 else None)
        )
        every = (self.weights, self.torchscript, self.head, *parts)
        return tuple(artifact for artifact in every if artifact is not None)

    @cached_property
    def fingerprint(self) -> str:
        """Digest of all that the model's pictures depend on: its files and how it is run."""
        described = self.model_dump_json(exclude=BESIDE_THE_PICTURE)
        return hashlib.sha256(described.encode()).hexdigest()[:32]

    @property
    def chosen_freely(self) -> bool:
        """Whether the service may choose it by itself: a foreign graph only once its quality on
        `QUALITY_DATASET` is measured."""
        return self.in_ladder and (self.adapter is None or bool(self._measured))

    def at(self, width: float) -> WidthEntry:
        """Return the entry of a width, which may be given to two decimals; KeyError if the model
        has no such width."""
        for entry in self.widths:
            if abs(entry.width - width) <= WIDTH_TOLERANCE:
                return entry
        raise KeyError(width)

    def expected_db(self, width: float, scale: float, strength: float = 0.0) -> float | None:
        """Return the mean PSNR-Y in dB of a width for pictures damaged to `strength`; None if
        nothing was measured. The difference from plain resampling of clean pictures is
        interpolated between the measured scales and strengths, and constant beyond them."""
        return self._recent_db(width, scale, strength)

    @cached_property
    def _recent_db(self) -> Callable[[float, float, float], float | None]:
        """`_db_at`, with its last results: each request asks for those of all widths, in gateway
        and worker, and most ask for one of a few scales and strengths."""
        return lru_cache(RECENT_RESULTS)(self._db_at)

    def _db_at(self, width: float, scale: float, strength: float) -> float | None:
        curves = self._curves(width)
        if not curves:
            return None
        return round(resampled_db(scale) + between(curves, scale, strength), 2)

    def gain_db(self, width: float, scale: float, strength: float = 0.0) -> float | None:
        """Return the mean gain of a width in dB over plain resampling of equally damaged pictures;
        None if nothing was measured. If only clean pictures were measured, the gain is theirs."""
        curves = self._curves(width)
        if not curves:
            return None
        seen = min(strength, max(curves))
        lost = resampled_db(scale) - resampled_db(scale, seen)
        return between(curves, scale, seen) + lost

    def _curves(self, width: float) -> Mapping[float, Curve]:
        """Return a width's curves by strength: PSNR-Y above plain resampling of clean pictures, in
        dB by scale."""
        return next((c for w, c in self._measured if abs(w - width) < 1e-6), {})

    @cached_property
    def _measured(self) -> Sequence[tuple[float, Mapping[float, Curve]]]:
        """The curves of each width."""
        points: dict[float, dict[float, list[tuple[float, float]]]] = {}
        for row in self.quality:
            strength = strength_of(row.dataset)
            if strength is not None:
                gain = row.psnr_y - resampled_db(row.scale)
                of_width = points.setdefault(row.width, {})
                of_width.setdefault(strength, []).append((row.scale, gain))
        return [
            (width, {strength: curve_of(found) for strength, found in of_width.items()})
            for width, of_width in points.items()
        ]

    def in_precision(self, precision: Precision) -> ModelEntry:
        """Return the entry for a trunk in a precision: in int8 its quality is lower by the measured
        loss. The loss in bfloat16 is below the resolution of the figures."""
        if precision is not Precision.INT8:
            return self
        lost = {entry.width: entry.int8.loss_db for entry in self.widths if entry.int8}
        rows = (
            row.model_copy(update={"psnr_y": row.psnr_y - lost.get(row.width, 0.0)})
            for row in self.quality
        )
        return self.model_copy(update={"quality": tuple(rows)})

    def model_copy(
        self, *, update: Mapping[str, Any] | None = None, deep: bool = False
    ) -> ModelEntry:
        """Return a copy with some fields changed and without derived values of the original."""
        copied = super().model_copy(update=update, deep=deep)
        for derived in ("_measured", "_recent_db", "fingerprint"):
            copied.__dict__.pop(derived, None)
        return copied


class Catalog(Record):
    """All models of a folder."""

    default: str
    models: tuple[ModelEntry, ...]

    @model_validator(mode="before")
    @classmethod
    def _without_old_key(cls, data: Any) -> Any:
        """Drop `untrained`, which older catalogs list and `ZOO` now implies."""
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if key != "untrained"}
        return data

    @property
    def untrained(self) -> Sequence[str]:
        """The names of the zoo's networks that have no entry here, and so no weights."""
        trained = set(self.names)
        return tuple(name for name in ZOO if name not in trained)

    def get(self, name: str) -> ModelEntry:
        """Return a model by name; KeyError if there is none."""
        for model in self.models:
            if model.name == name:
                return model
        raise KeyError(name)

    def on_demand(self, name: str | None) -> bool:
        """Return whether workers load this model only after a request for it."""
        return any(model.name == name and model.on_demand for model in self.models)

    @property
    def names(self) -> Sequence[str]:
        return tuple(model.name for model in self.models)

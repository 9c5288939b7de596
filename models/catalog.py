"""The catalog: the models of a folder, their files with checksums, and their measured quality.

It is read from `catalog.json` beside the artifacts, without torch. Every artifact's size and
SHA-256 are checked before it is opened. A service uses valid entries and reports the others.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.adapters.record import Adapter
from models.spec import NetworkSpec
from models.strength import strength_of_quality
from models.whole_file import written
from models.zoo import ZOO

SHIPPED = Path(__file__).parent / "artifacts"
CATALOG_FILE = "catalog.json"

REASON_LENGTH = 300
"""Most characters of the reason for a broken entry, which is reported repeatedly."""

WIDTH_TOLERANCE = 0.005
"""Largest difference between a width and a caller's number for it: 0.33 is a third."""

QUALITY_DATASET = "B100"
"""The data set behind `expected_db`: natural photographs. With the suffix `-jpeg75` the inputs are
JPEGs of quality 75."""


Curve = tuple[tuple[float, ...], tuple[float, ...]]
"""Abscissas, ascending, and the values measured there."""


def _curve(points: Iterable[tuple[float, float]]) -> Curve:
    places, values = zip(*sorted(points), strict=True)
    return places, values


RESAMPLED_DB = _curve({
    1.5: 32.78, 2.0: 29.93, 2.5: 28.41, 3.0: 27.41, 3.5: 26.68, 4.0: 26.13, 6.0: 24.68, 8.0: 23.79,
}.items())  # fmt: skip
"""PSNR-Y of plain resampling by scale: `images.floor` on the same pictures. What networks gain
over it changes little from scale to scale, so between measured scales the gain is interpolated."""

COMPRESSED_LOSS_DB = _curve({2.0: 1.27, 3.0: 0.82}.items())
COMPRESSED_STRENGTH = strength_of_quality(75)
"""Loss of plain resampling when the same pictures are JPEGs of quality 75, in dB by scale."""

MOST_RIM = 48
"""Largest rim in input pixels: the context of a tile where the network has no halo
(`scheduling.tiling.CONTEXT`)."""


class CatalogError(Exception):
    """The catalog or one of its artifacts is missing, damaged or not as described."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Artifact(_Record):
    """One file of the model folder. `file` is a plain name, never a path."""

    file: str
    sha256: str
    bytes: int


class Precision(StrEnum):
    """The number format of a network's trunk; its head always runs in float32."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"


COEFFICIENTS = "coefficients"
"""Name of the tensor that is a trunk's output and a head's input."""


class Int8Entry(_Record):
    """A trunk in 8 bits (`models.quantisation`)."""

    onnx: Artifact
    loss_db: float = Field(default=0.0, ge=0)
    """Measured loss of PSNR-Y against float32, in dB."""


class WidthEntry(_Record):
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


class QualityEntry(_Record):
    """Mean PSNR-Y (dB) and SSIM of one width on one data set at one scale."""

    dataset: str
    scale: float
    width: float
    psnr_y: float
    ssim: float


def resampled_db(scale: float, strength: float = 0.0) -> float:
    """Return the mean PSNR-Y in dB of plain resampling at a scale, for pictures damaged to
    `strength`: interpolated between the measured scales and strengths, constant beyond them."""
    damaged = min(max(strength / COMPRESSED_STRENGTH, 0.0), 1.0)
    return _interpolated(RESAMPLED_DB, scale) - damaged * _interpolated(COMPRESSED_LOSS_DB, scale)


def _interpolated(curve: Curve, at: float) -> float:
    """Return a curve's value, constant beyond its ends. In plain Python, because a decision needs
    dozens of single values and numpy takes ten times as long for each."""
    places, values = curve
    after = bisect_right(places, at)
    if after == 0:
        return values[0]
    if after == len(places):
        return values[-1]
    part = (at - places[after - 1]) / (places[after] - places[after - 1])
    return values[after - 1] + part * (values[after] - values[after - 1])


def _between(curves: Mapping[float, Curve], scale: float, strength: float) -> float:
    """Return the value of curves by strength at a scale and a strength, constant beyond both."""
    values = ((measured, _interpolated(curve, scale)) for measured, curve in curves.items())
    return _interpolated(_curve(values), strength)


def _strength_of(dataset: str) -> float | None:
    """Return the strength of a data set's damage; None for sets that do not count as quality."""
    name, _, quality = dataset.partition("-jpeg")
    if name != QUALITY_DATASET:
        return None
    return strength_of_quality(int(quality)) if quality else 0.0


class ModelEntry(_Record):
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
        curves = self._curves(width)
        if not curves:
            return None
        return round(resampled_db(scale) + _between(curves, scale, strength), 2)

    def gain_db(self, width: float, scale: float, strength: float = 0.0) -> float | None:
        """Return the mean gain of a width in dB over plain resampling of equally damaged pictures;
        None if nothing was measured. If only clean pictures were measured, the gain is theirs."""
        curves = self._curves(width)
        if not curves:
            return None
        seen = min(strength, max(curves))
        lost = resampled_db(scale) - resampled_db(scale, seen)
        return _between(curves, scale, seen) + lost

    def _curves(self, width: float) -> Mapping[float, Curve]:
        """Return a width's curves by strength: PSNR-Y above plain resampling of clean pictures, in
        dB by scale."""
        return next((c for w, c in self._measured if abs(w - width) < 1e-6), {})

    @cached_property
    def _measured(self) -> Sequence[tuple[float, Mapping[float, Curve]]]:
        """The curves of each width."""
        points: dict[float, dict[float, list[tuple[float, float]]]] = {}
        for row in self.quality:
            strength = _strength_of(row.dataset)
            if strength is not None:
                gain = row.psnr_y - resampled_db(row.scale)
                of_width = points.setdefault(row.width, {})
                of_width.setdefault(strength, []).append((row.scale, gain))
        return [
            (width, {strength: _curve(found) for strength, found in of_width.items()})
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
        copied.__dict__.pop("_measured", None)
        return copied


class Catalog(_Record):
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


@dataclass(frozen=True)
class CatalogRead:
    """The valid entries of a catalog, and the reasons why the others are broken."""

    catalog: Catalog
    broken: Mapping[str, str] = field(default_factory=dict)
    """Reasons by the names of entries; under CATALOG_FILE what concerns all."""


def read_catalog(folder: Path = SHIPPED) -> Catalog:
    """Read a model folder's catalog. Raises CatalogError with the reason if it is not valid."""
    path = folder / CATALOG_FILE
    try:
        return Catalog.model_validate_json(_bytes(path))
    except ValidationError as error:
        raise CatalogError(f"{path} is not a valid catalog: {one_line_reason(error)}") from error


def read_valid_entries(folder: Path, running: Catalog | None = None) -> CatalogRead:
    """Read the valid entries of a model folder's catalog. A broken entry is replaced by the running
    one of its name; a missing default by the running default, or else by the first model.

    Raises CatalogError if the file cannot be read or no model is left.
    """
    path = folder / CATALOG_FILE
    default, listed = _listed(path)
    models: dict[str, ModelEntry] = {}
    broken: dict[str, str] = {}
    for number, data in enumerate(listed):
        name = _name_of(data, number)
        if name in models or name in broken:
            broken[name] = "is listed more than once; the first counts"
            continue
        try:
            models[name] = ModelEntry.model_validate_json(json.dumps(data))
        except ValidationError as error:
            broken[name] = one_line_reason(error)
            if running is not None and name in running.names:
                models[name] = running.get(name)
    if not models:
        raise CatalogError(f"{path} has no model that can be served; {summary_of(broken)}")
    if default not in models:
        broken[CATALOG_FILE] = f"the default {default!r} is not among the models"
        default = running.default if running and running.default in models else next(iter(models))
    return CatalogRead(Catalog(default=default, models=tuple(models.values())), broken)


def one_line_reason(error: Exception) -> str:
    """Return an error's text in one line of at most `REASON_LENGTH` characters."""
    text = str(error) or type(error).__name__
    if isinstance(error, ValidationError):
        faults = error.errors(include_url=False, include_input=False)
        text = "; ".join(f"{'.'.join(map(str, f['loc']))}: {f['msg']}" for f in faults)
    line = " ".join(text.split())
    return (
        line
        if len(line) <= REASON_LENGTH
        else f"{line[: REASON_LENGTH - 1]}\N{HORIZONTAL ELLIPSIS}"
    )


def summary_of(broken: Mapping[str, str]) -> str:
    """Return all reasons in one line."""
    return "; ".join(f"{name}: {reason}" for name, reason in broken.items()) or "it lists none"


def _listed(path: Path) -> tuple[object, list[object]]:
    """Return a catalog's default and its list of models, both unchecked."""
    try:
        content = json.loads(_bytes(path))
    except ValueError as error:
        raise CatalogError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("models"), list):
        raise CatalogError(f"{path} is not a valid catalog: it has no list of models")
    return content.get("default"), content["models"]


def _name_of(data: object, number: int) -> str:
    name = data.get("name") if isinstance(data, dict) else None
    return name if isinstance(name, str) and name else f"models[{number}]"


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CatalogError(f"cannot read {path}: {error.strerror}") from error


def write_catalog(folder: Path, catalog: Catalog) -> None:
    """Write a model folder's catalog atomically."""
    with written(folder / CATALOG_FILE) as partial:
        partial.write_text(catalog.model_dump_json(indent=1) + "\n")


def register(folder: Path, model: ModelEntry) -> Catalog:
    """Add a model to a folder's catalog, replacing one of the same name, and return the catalog.

    The first model of a folder becomes its default.
    """
    if not (folder / CATALOG_FILE).exists():
        catalog = Catalog(default=model.name, models=(model,))
    else:
        old = read_catalog(folder)
        others = [m for m in old.models if m.name != model.name]
        models = tuple(sorted((*others, model), key=lambda m: m.name))
        catalog = Catalog(default=old.default, models=models)
    write_catalog(folder, catalog)
    return catalog


def read_verified(folder: Path, artifact: Artifact) -> bytes:
    """Return the content of an artifact. Raises CatalogError if it differs from its record.

    Open the model from these bytes, not from the file, which may be replaced at any time.
    """
    if Path(artifact.file).name != artifact.file:
        raise CatalogError(f"artifact {artifact.file!r} must be a plain file name")
    path = folder / artifact.file
    if not path.is_file():
        raise CatalogError(f"{path} is missing; restore it or export the model again")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise CatalogError(f"{path} leads out of the folder; put the file itself there")
    content = _bytes(path)
    if _described(artifact.file, content) != artifact:
        raise CatalogError(f"{path} differs from its checksum in {CATALOG_FILE}; restore it")
    return content


def verified(folder: Path, artifact: Artifact) -> Path:
    """Return the path of an artifact after checking its content as `read_verified` does."""
    read_verified(folder, artifact)
    return folder / artifact.file


def describe(path: Path) -> Artifact:
    """Return the catalog's record of a file."""
    return _described(path.name, path.read_bytes())


def _described(file: str, content: bytes) -> Artifact:
    return Artifact(file=file, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))

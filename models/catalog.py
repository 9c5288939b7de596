"""The catalog: which models there are, their files with checksums, and their measured quality.

Read from `catalog.json` beside the artifacts. Needs no torch. Every artifact's size and SHA-256
are checked before it is opened.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

SHIPPED = Path(__file__).parent / "artifacts"
CATALOG_FILE = "catalog.json"

QUALITY_DATASET = "B100"
"""Natural photographs: what `expected_db` is read from."""


class CatalogError(Exception):
    """The catalog or one of its artifacts is missing, damaged or not what was promised."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Artifact(_Record):
    """One file of the model folder. `file` is a plain name, never a path."""

    file: str
    sha256: str
    bytes: int


class WidthEntry(_Record):
    """One width: the fraction of the full one, the inner channels, and the ONNX graph."""

    width: float
    channels: int
    onnx: Artifact


class QualityEntry(_Record):
    """Mean PSNR-Y (dB) and SSIM of one width on one data set at one scale."""

    dataset: str
    scale: float
    width: float
    psnr_y: float
    ssim: float


class NetworkEntry(_Record):
    """The {name, args} spec that builds the network."""

    name: str
    args: dict[str, Any]


class ModelEntry(_Record):
    """One model with the facts that its callers need."""

    name: str
    description: str
    licence: str
    network: NetworkEntry
    min_scale: float
    max_scale: float
    trained_scales: tuple[float, float]
    halo: int
    """Input pixels around a tile that reach its output."""
    widths: tuple[WidthEntry, ...]
    """Narrowest first."""
    weights: Artifact
    """Safetensors; the ONNX graphs read their weights from this same file."""
    torchscript: Artifact | None = None
    quality: tuple[QualityEntry, ...] = ()
    in_ladder: bool = True
    """Whether the service may choose this model by itself; if not, only callers who name it get
    it: a model for another kind of pictures, whose quality is not comparable."""

    def at(self, width: float) -> WidthEntry:
        """Return the entry of a width; KeyError if the model has no such width."""
        for entry in self.widths:
            if abs(entry.width - width) < 1e-6:
                return entry
        raise KeyError(width)

    def expected_db(self, width: float, scale: float) -> float | None:
        """Return the measured PSNR-Y of a width, interpolated between the measured scales
        (held constant beyond them), or None when nothing was measured."""
        rows = sorted(
            (q.scale, q.psnr_y)
            for q in self.quality
            if q.dataset == QUALITY_DATASET and abs(q.width - width) < 1e-6
        )
        if not rows:
            return None
        scales, values = zip(*rows, strict=True)
        return round(float(np.interp(scale, scales, values)), 2)


class Catalog(_Record):
    """All models of a folder."""

    default: str
    models: tuple[ModelEntry, ...]

    def get(self, name: str) -> ModelEntry:
        """Return a model by name; KeyError if there is none."""
        for model in self.models:
            if model.name == name:
                return model
        raise KeyError(name)

    @property
    def names(self) -> Sequence[str]:
        return tuple(model.name for model in self.models)


def read_catalog(folder: Path = SHIPPED) -> Catalog:
    """Read a model folder's catalog; CatalogError says what is wrong with it."""
    path = folder / CATALOG_FILE
    try:
        return Catalog.model_validate_json(path.read_text())
    except OSError as error:
        raise CatalogError(f"cannot read {path}: {error.strerror}") from error
    except ValidationError as error:
        raise CatalogError(f"{path} is not a valid catalog: {error}") from error


def write_catalog(folder: Path, catalog: Catalog) -> None:
    """Write a model folder's catalog in one step."""
    partial = folder / f"{CATALOG_FILE}.partial"
    partial.write_text(catalog.model_dump_json(indent=1) + "\n")
    partial.replace(folder / CATALOG_FILE)


def enter(folder: Path, model: ModelEntry) -> Catalog:
    """Put a model into a folder's catalog, in place of one of the same name, and return it.

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


def verified(folder: Path, artifact: Artifact) -> Path:
    """Return the path of an artifact whose content is what the catalog promises."""
    if Path(artifact.file).name != artifact.file:
        raise CatalogError(f"artifact {artifact.file!r} must be a plain file name")
    path = folder / artifact.file
    if not path.is_file():
        raise CatalogError(f"{path} is missing; restore it or export the model again")
    if describe(path) != artifact:
        raise CatalogError(f"{path} differs from its checksum in {CATALOG_FILE}; restore it")
    return path


def describe(path: Path) -> Artifact:
    """Return the catalog's record of a file."""
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return Artifact(file=path.name, sha256=digest, bytes=len(content))

"""The models that a worker serves, loaded into their backends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from models.catalog import Artifact, ModelEntry, read_catalog
from scheduling.rungs import Rung, ladder
from scheduling.tiling import Tiling, tiling_of
from workers.backends import REFERENCE, Backend, choose_cached
from workers.memory import pixel_bytes_of
from workers.runtimes.base import Session
from workers.runtimes.openvino import trunk_of
from workers.settings import Runtime, WorkerSettings
from workers.upscale import Engine


@dataclass(frozen=True)
class LoadedModel:
    """A model, loaded into a backend."""

    entry: ModelEntry
    session: Session
    tiling: Tiling
    backend: Backend = REFERENCE
    refused: Mapping[str, str] = field(default_factory=dict)
    """Reasons why other backends were refused, by backend."""

    @cached_property
    def as_run(self) -> ModelEntry:
        """The entry, with the expected quality in this backend's precision."""
        return self.entry.in_precision(self.backend.precision)

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """The model's rungs, narrowest first."""
        return ladder(self.entry)

    def at(self, width: float) -> Engine:
        """Bind the model to a width. Raises KeyError for a width that it does not have."""
        entry = self.entry
        return Engine(
            self.session.at(width), self.tiling, entry.takes_strength, pixel_bytes_of(entry)
        )


ModelsByName = dict[str, LoadedModel]
"""Loaded models by their names."""


def load_models(
    folder: Path, settings: WorkerSettings, only: str | None = None, cache: Path | None = None
) -> ModelsByName:
    """Load the models of a folder: all except those that are loaded on demand, or `only` one.

    The choice of backends is cached in the folder `cache`. Raises CatalogError and RuntimeMissing.
    """
    entries = read_catalog(folder).models
    wanted = (e for e in entries if e.name == only or (only is None and not e.on_demand))
    return {entry.name: load(folder, entry, settings, cache) for entry in wanted}


def load(
    folder: Path, entry: ModelEntry, settings: WorkerSettings, cache: Path | None = None
) -> LoadedModel:
    """Load one model; its widths are loaded when they first run. Arguments and errors as for
    `load_models`."""
    chosen = choose_cached(folder, entry, settings, cache)
    tiling = _tiling(entry, settings)
    return LoadedModel(entry, chosen.session, tiling, chosen.backend, chosen.refused)


def with_entry(served: LoadedModel, entry: ModelEntry, settings: WorkerSettings) -> LoadedModel:
    """Return a loaded model with another entry for the same artifacts."""
    tiling = _tiling(entry, settings)
    return LoadedModel(entry, served.session, tiling, served.backend, served.refused)


def _tiling(entry: ModelEntry, settings: WorkerSettings) -> Tiling:
    return tiling_of(entry, settings.tile_pixels, settings.tile_output_pixels)


def artifacts_of(entry: ModelEntry, backend: Backend) -> tuple[Artifact, ...]:
    """Return the files that a backend loads, without those that the model does not have. Models
    with the same files compute the same."""
    if backend.runtime is Runtime.TORCHSCRIPT:
        return (entry.torchscript,) if entry.torchscript is not None else ()
    if backend.runtime is Runtime.OPENVINO:
        trunks = (trunk_of(entry, width, backend.precision) for width in entry.widths)
        return (entry.weights, *((entry.head,) if entry.head is not None else ()), *trunks)
    return (entry.weights, *(width.onnx for width in entry.widths))

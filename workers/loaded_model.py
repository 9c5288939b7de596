"""The models that a worker serves, loaded into the chosen engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from models.catalog import Artifact, ModelEntry, read_catalog
from scheduling.rungs import Rung, ladder
from scheduling.tiling import Tiling, tiling_of
from workers.backends import PLAIN, Backend, choose_once
from workers.runtimes.base import Session
from workers.runtimes.openvino import trunk_of
from workers.settings import Runtime, WorkerSettings
from workers.upscale import Engine


@dataclass(frozen=True)
class LoadedModel:
    """A model in a backend."""

    entry: ModelEntry
    session: Session
    tiling: Tiling
    backend: Backend = PLAIN
    refused: Mapping[str, str] = field(default_factory=dict)
    """Why other backends do not run it, by their names."""

    @cached_property
    def as_run(self) -> ModelEntry:
        """The entry with what is expected of the pictures that are made here."""
        return self.entry.in_precision(self.backend.precision)

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """The ways to run it, narrowest first."""
        return ladder(self.entry)

    def at(self, width: float) -> Engine:
        """Bind the model to a width. Raises KeyError for a width that it does not have."""
        return Engine(self.session.at(width), self.tiling, self.entry.takes_strength)


Zoo = dict[str, LoadedModel]
"""By name."""


def load_zoo(
    folder: Path, settings: WorkerSettings, only: str | None = None, kept: Path | None = None
) -> Zoo:
    """Load the models of a folder: all but those that are loaded on demand, or `only` one.
    `kept` is where the choice of backends is kept.

    Raises CatalogError and RuntimeMissing.
    """
    entries = read_catalog(folder).models
    wanted = (e for e in entries if e.name == only or (only is None and not e.on_demand))
    return {entry.name: load(folder, entry, settings, kept) for entry in wanted}


def load(
    folder: Path, entry: ModelEntry, settings: WorkerSettings, kept: Path | None = None
) -> LoadedModel:
    """Load one model; its widths are loaded when they first run. Arguments and errors as of
    `load_zoo`."""
    chosen = choose_once(folder, entry, settings, kept)
    tiling = _tiling(entry, settings)
    return LoadedModel(entry, chosen.session, tiling, chosen.backend, chosen.refused)


def under_entry(served: LoadedModel, entry: ModelEntry, settings: WorkerSettings) -> LoadedModel:
    """Return a model that is loaded, with another entry for the same artifacts."""
    tiling = _tiling(entry, settings)
    return LoadedModel(entry, served.session, tiling, served.backend, served.refused)


def _tiling(entry: ModelEntry, settings: WorkerSettings) -> Tiling:
    return tiling_of(entry, settings.tile_pixels, settings.tile_output_pixels)


def artifacts_of(entry: ModelEntry, backend: Backend) -> tuple[Artifact, ...]:
    """Return the files that a backend makes a session of; those of them that the model has not are
    missing. Models with the same ones run the same."""
    if backend.runtime is Runtime.TORCHSCRIPT:
        return (entry.torchscript,) if entry.torchscript is not None else ()
    if backend.runtime is Runtime.OPENVINO:
        trunks = (trunk_of(entry, width, backend.precision) for width in entry.widths)
        return (entry.weights, *((entry.head,) if entry.head is not None else ()), *trunks)
    return (entry.weights, *(width.onnx for width in entry.widths))

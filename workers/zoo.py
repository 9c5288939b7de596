"""The models that a worker serves, loaded into the chosen engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from models.catalog import Artifact, ModelEntry, read_catalog
from scheduling.rungs import Rung, ladder
from scheduling.tiling import Tiling, tiling_of
from workers.runtimes.base import Session
from workers.runtimes.onnx import CPU_PROVIDERS, CUDA_PROVIDERS, OnnxSession
from workers.runtimes.torchscript import TorchScriptSession
from workers.settings import Device, Runtime, WorkerSettings
from workers.upscale import Engine


@dataclass(frozen=True)
class Served:
    """A model in an engine."""

    entry: ModelEntry
    session: Session
    tiling: Tiling

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """The ways to run it, narrowest first."""
        return ladder(self.entry)

    def at(self, width: float) -> Engine:
        """Bind the model to a width; KeyError if it has no such width."""
        entry = self.entry.at(width)
        tiling = self.tiling
        return Engine(
            self.session,
            entry.width,
            tiling.halo,
            tiling.pixels,
            tiling.output_pixels,
            tiling.rim,
            tiling.output_halo,
            self.entry.takes_strength,
        )


Zoo = dict[str, Served]
"""By name."""


def load_zoo(folder: Path, settings: WorkerSettings, asked: str | None = None) -> Zoo:
    """Load every model of a folder; of those that are loaded on demand, the one `asked` for alone.

    Raises CatalogError and RuntimeMissing.
    """
    entries = read_catalog(folder).models
    wanted = (e for e in entries if not e.on_demand or e.name == asked)
    return {entry.name: load(folder, entry, settings) for entry in wanted}


def load(folder: Path, entry: ModelEntry, settings: WorkerSettings) -> Served:
    """Load one model; its widths are loaded when they first run. Raises as `load_zoo`."""
    return in_engine(entry, _session(folder, entry, settings), settings)


def in_engine(entry: ModelEntry, session: Session, settings: WorkerSettings) -> Served:
    """Return a model whose artifacts are loaded."""
    bounds = settings.tile_pixels, settings.tile_output_pixels
    return Served(entry, session, tiling_of(entry, *bounds))


def artifacts_of(entry: ModelEntry, runtime: Runtime) -> tuple[Artifact | None, ...]:
    """Return the files that an engine makes a session of, each at its place; None where the
    model lacks one. Models with the same ones run the same."""
    if runtime is Runtime.TORCHSCRIPT:
        return (entry.torchscript,)
    return (entry.weights, *(width.onnx for width in entry.widths))


def _session(folder: Path, entry: ModelEntry, settings: WorkerSettings) -> Session:
    if settings.runtime is Runtime.TORCHSCRIPT:
        device = settings.device.value
        return TorchScriptSession(folder, entry, device, settings.worker_threads)
    providers = CUDA_PROVIDERS if settings.device is Device.CUDA else CPU_PROVIDERS
    return OnnxSession(folder, entry, settings.worker_threads, providers, settings.spin)

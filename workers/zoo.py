"""The models that a worker serves, loaded into the chosen engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from models.catalog import ModelEntry, read_catalog
from scheduling.rungs import Rung, ladder
from scheduling.tiling import Tiling
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
        bounds = self.tiling.pixels, self.tiling.output_pixels
        return Engine(self.session, entry.width, self.tiling.halo, *bounds)


Zoo = dict[str, Served]
"""By name."""


def load_zoo(folder: Path, settings: WorkerSettings) -> Zoo:
    """Load every model of a folder. Raises CatalogError and RuntimeMissing."""
    bounds = settings.tile_pixels, settings.tile_output_pixels
    return {
        entry.name: Served(entry, _session(folder, entry, settings), Tiling(entry.halo, *bounds))
        for entry in read_catalog(folder).models
    }


def _session(folder: Path, entry: ModelEntry, settings: WorkerSettings) -> Session:
    if settings.runtime is Runtime.TORCHSCRIPT:
        device = settings.device.value
        return TorchScriptSession(folder, entry, device, settings.worker_threads)
    providers = CUDA_PROVIDERS if settings.device is Device.CUDA else CPU_PROVIDERS
    return OnnxSession(folder, entry, settings.worker_threads, providers, settings.spin)

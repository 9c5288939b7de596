"""From a model folder to loaded models: read, check checksums, load, warm,
measure; entry by entry. `workers.backends` compares the numbers with those in float32.

A broken entry is reported with its reason and does not affect others. If an earlier version of it
is loaded, that stays.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from models.catalog import (
    Catalog,
    CatalogError,
    ModelEntry,
    one_line_reason,
    read_valid_entries,
    read_verified,
    summary_of,
)
from scheduling.cost_line import Line
from workers.calibration import BetweenJobs, warm_model
from workers.calibration_cache import added_lines, machine_costs, save_contention
from workers.current_models import LoadedModels
from workers.loaded_model import LoadedModel, ModelsByName, artifacts_of, load, with_entry
from workers.runtimes.base import RuntimeMissing
from workers.settings import WorkerSettings

log = logging.getLogger("anysr.workers.model_loader")


@dataclass(frozen=True)
class ModelUpdate:
    """Changes of a running worker's models by a reload of the folder."""

    models: ModelsByName
    lines: Mapping[str, Line]
    """Costs of the rungs of new or changed models."""
    broken: Mapping[str, str]


@dataclass(frozen=True)
class ModelLoader:
    """Loads models from one folder. Its methods block for seconds."""

    folder: Path
    settings: WorkerSettings
    """With `worker_threads` set."""
    costs_folder: Path | None
    """Cache folder of measured costs; None: not cached."""

    def load_all(self) -> LoadedModels:
        """Return the models that a worker starts with.

        Raises CatalogError when no model can be served, and RuntimeMissing.
        """
        models, broken = self._models({}, frozenset(self.settings.warm))
        if not models:
            raise CatalogError(f"no model of {self.folder} can be served; {summary_of(broken)}")
        return LoadedModels(models, machine_costs(models, self.settings, self.costs_folder), broken)

    def reload(
        self,
        running: ModelsByName,
        lines: Mapping[str, Line],
        between_jobs: BetweenJobs,
        requested: Set[str] = frozenset(),
    ) -> ModelUpdate:
        """Return the update of the `running` models; unchanged ones keep their sessions.

        Models that are loaded on demand are included if they are running or `requested`. New ones
        are measured between jobs, and cached with the cost `lines` of the others. Raises
        CatalogError when the catalog as a whole cannot be read.
        """
        models, broken = self._models(running, requested | running.keys())
        fresh = {
            name
            for name, served in models.items()
            if name not in running or served.session is not running[name].session
        }
        added: dict[str, Line] = {}
        if fresh:
            added = added_lines(
                models, fresh, lines, self.settings, self.costs_folder, between_jobs
            )
        return ModelUpdate(models, added, broken)

    def save_contention(self, loaded: LoadedModels) -> None:
        """Save the learnt costs of contended runs for the next start."""
        save_contention(loaded.models, self.settings, self.costs_folder, loaded.costs)

    def _models(
        self, running: ModelsByName, wanted: Set[str]
    ) -> tuple[ModelsByName, dict[str, str]]:
        """Return the models that can run, and the reasons why others cannot. Of models that are
        loaded on demand, only the wanted ones are included."""
        reading = read_valid_entries(self.folder, _catalog_of(running))
        broken = dict(reading.broken)
        models: ModelsByName = {}
        for entry in reading.catalog.models:
            if entry.on_demand and entry.name not in wanted:
                continue
            old = running.get(entry.name)
            try:
                models[entry.name] = self._served(entry, old)
            except RuntimeMissing:
                raise
            except Exception as error:  # engines raise various errors for a bad file
                broken.setdefault(entry.name, one_line_reason(error))
                if old is not None:
                    models[entry.name] = old
        for name, reason in broken.items():
            log.error("model %s is broken: %s", name, reason)
        return models, broken

    def _served(self, entry: ModelEntry, old: LoadedModel | None) -> LoadedModel:
        if old is not None and _same(entry, old.entry):
            for artifact in artifacts_of(entry, old.backend):
                read_verified(self.folder, artifact)  # raises as a restart would
            return with_entry(old, entry, self.settings)
        served = load(self.folder, entry, self.settings, self.costs_folder)
        warm_model(served)
        return served


def _same(entry: ModelEntry, old: ModelEntry) -> bool:
    """Return whether two entries have the same files, so that these need not be reloaded."""
    same_files = entry.artifacts == old.artifacts and entry.widths == old.widths
    return same_files and entry.adapter == old.adapter


def _catalog_of(models: ModelsByName) -> Catalog | None:
    if not models:
        return None
    return Catalog(default=next(iter(models)), models=tuple(s.entry for s in models.values()))

"""From a model folder to loaded models: read, verify, load, warm, measure; entry by entry.

A broken entry is named with its reason and costs no other; where an earlier version of it runs,
that goes on running.
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
from scheduling.cost_model import Line
from workers.calibration import Turn, warm_model
from workers.calibration_cache import added_lines, costs_here, keep_contention
from workers.loaded_model import LoadedModel, Zoo, artifacts_of, load, under_entry
from workers.model_slot import LoadedModels
from workers.runtimes.base import RuntimeMissing
from workers.settings import WorkerSettings

log = logging.getLogger("anysr.workers.model_loader")


@dataclass(frozen=True)
class ModelUpdate:
    """What a reading of the folder brings to a worker that runs."""

    zoo: Zoo
    lines: Mapping[str, Line]
    """Of the rungs of models that are new or changed."""
    broken: Mapping[str, str]


@dataclass(frozen=True)
class ModelLoader:
    """Stocks a worker from one folder. Its methods block for seconds."""

    folder: Path
    settings: WorkerSettings
    """With the threads of a network said."""
    costs_folder: Path | None
    """Where measured costs are kept; None: nowhere."""

    def first(self) -> LoadedModels:
        """Return the models to start with.

        Raises CatalogError when no model can be served, and RuntimeMissing.
        """
        zoo, broken = self._zoo({}, frozenset(self.settings.warm))
        if not zoo:
            raise CatalogError(f"no model of {self.folder} can be served; {summary_of(broken)}")
        return LoadedModels(zoo, costs_here(zoo, self.settings, self.costs_folder), broken)

    def next(
        self, running: Zoo, known: Mapping[str, Line], turn: Turn, asked: Set[str] = frozenset()
    ) -> ModelUpdate:
        """Return what is to run after `running`, whose sessions go on where nothing has changed.

        Of the models that are loaded on demand, those that run and those that are `asked` for. What
        is new is measured `turn` by turn, and kept with the lines `known` of the rest.
        Raises CatalogError when the catalog as a whole cannot be read.
        """
        zoo, broken = self._zoo(running, asked | running.keys())
        fresh = {
            name
            for name, served in zoo.items()
            if name not in running or served.session is not running[name].session
        }
        lines: dict[str, Line] = {}
        if fresh:
            place = self.settings, self.costs_folder
            lines = added_lines(zoo, fresh, known, *place, turn)
        return ModelUpdate(zoo, lines, broken)

    def keep(self, loaded: LoadedModels) -> None:
        """Keep what was learnt of models and counts for the next start as well."""
        keep_contention(loaded.zoo, self.settings, self.costs_folder, loaded.costs)

    def _zoo(self, running: Zoo, wanted: Set[str]) -> tuple[Zoo, dict[str, str]]:
        """Return the models that can run, and what is wrong with the others; of those on demand,
        the wanted ones alone."""
        reading = read_valid_entries(self.folder, _catalog_of(running))
        broken = dict(reading.broken)
        zoo: Zoo = {}
        for entry in reading.catalog.models:
            if entry.on_demand and entry.name not in wanted:
                continue
            old = running.get(entry.name)
            try:
                zoo[entry.name] = self._served(entry, old)
            except RuntimeMissing:
                raise
            except Exception as error:  # an engine may raise anything over a file
                broken.setdefault(entry.name, one_line_reason(error))
                if old is not None:
                    zoo[entry.name] = old
        for name, reason in broken.items():
            log.error("model %s is broken: %s", name, reason)
        return zoo, broken

    def _served(self, entry: ModelEntry, old: LoadedModel | None) -> LoadedModel:
        if old is not None and _same(entry, old.entry):
            for artifact in artifacts_of(entry, old.backend):
                read_verified(
                    self.folder, artifact
                )  # as for a new start, which would not find it good
            return under_entry(old, entry, self.settings)
        served = load(self.folder, entry, self.settings, self.costs_folder)
        warm_model(served)
        return served


def _same(entry: ModelEntry, old: ModelEntry) -> bool:
    """Return whether two entries are of the same files, which then need not be loaded again."""
    return entry.artifacts == old.artifacts and entry.widths == old.widths


def _catalog_of(zoo: Zoo) -> Catalog | None:
    if not zoo:
        return None
    return Catalog(default=next(iter(zoo)), models=tuple(s.entry for s in zoo.values()))

"""The loaded models of a worker, swapped atomically; a running job keeps those it started with."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from jobs.heartbeat import BackendState
from jobs.job import LADDER, RunFacts, requirement_of
from scheduling.cost_line import Line
from scheduling.cost_model import CostModel
from scheduling.stages import NETWORK, stage_of
from workers.calibration import tilings
from workers.loaded_model import ModelsByName
from workers.memory import can_run_concurrently
from workers.unloading import loading_times


@dataclass(frozen=True)
class LoadedModels:
    """Warm models, their costs on this machine, and the broken entries of the model folder.

    Only the cost model is updated; everything else is immutable.
    """

    models: ModelsByName
    costs: CostModel
    broken: Mapping[str, str] = field(default_factory=dict)
    """Reasons by entry name."""

    def __post_init__(self) -> None:
        self.costs.loading = loading_times(self.models)

    @cached_property
    def capabilities(self) -> tuple[str, ...]:
        """The requirements of jobs that can be run, in the form of `Job.requirement`."""
        entries = [served.entry for served in self.models.values()]
        ladder = (LADDER,) if any(entry.chosen_freely for entry in entries) else ()
        widths = (
            requirement_of(entry.name, width.width) for entry in entries for width in entry.widths
        )
        return (*ladder, *(requirement_of(entry.name) for entry in entries), *widths)

    @cached_property
    def beside_capabilities(self) -> tuple[str, ...]:
        """The same for jobs that run beside another one (`workers.memory.can_run_concurrently`)."""
        models = {
            name: served
            for name, served in self.models.items()
            if can_run_concurrently(served.entry)
        }
        others = (served.entry for name, served in self.models.items() if name not in models)
        may_choose = not any(entry.chosen_freely for entry in others)
        named = replace(self, models=models).capabilities
        return tuple(name for name in named if may_choose or name != LADDER)

    @property
    def backends(self) -> dict[str, BackendState]:
        """The backend of each model, for the heartbeat."""
        return {
            name: BackendState(
                served.backend.runtime.value, served.backend.precision.value, dict(served.refused)
            )
            for name, served in self.models.items()
        }

    def fingerprinted(self, facts: RunFacts) -> RunFacts:
        """Return the facts of a run of these models with the fingerprint of the one that ran."""
        served = self.models.get(facts.model)
        return facts if served is None else replace(facts, fingerprint=served.entry.fingerprint)

    def updated(
        self, models: ModelsByName, lines: Mapping[str, Line], broken: Mapping[str, str]
    ) -> LoadedModels:
        """Return this with other models and the cost `lines` of their new rungs. Costs of other
        rungs and updates of the cost model are kept."""
        rungs = {stage_of(rung) for served in models.values() for rung in served.rungs}
        kept = {
            stage: line
            for stage, line in self.costs.lines.items()
            if stage in rungs or not stage.startswith(f"{NETWORK}:")
        }
        costs = replace(self.costs, lines={**kept, **lines}, tilings=tilings(models))
        return LoadedModels(models, costs, broken)


class CurrentModels:
    """Holds the models for new jobs; a running job keeps those it started with."""

    def __init__(self, loaded: LoadedModels) -> None:
        self._loaded = loaded
        self.changed = asyncio.Event()
        """Set when others are held: a worker that waits for jobs may be able to run others now."""

    @property
    def loaded(self) -> LoadedModels:
        return self._loaded

    @loaded.setter
    def loaded(self, loaded: LoadedModels) -> None:
        self._loaded = loaded
        self.changed.set()

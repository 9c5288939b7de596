"""What a worker works with at one moment, and how that becomes another without a job noticing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from jobs.heartbeat import BackendState
from jobs.job import LADDER, requirement_of
from scheduling.cost_model import NETWORK, CostModel, Line, stage_of
from workers.calibration import tilings
from workers.loaded_model import Zoo


@dataclass(frozen=True)
class LoadedModels:
    """Models that are warm, what they cost here, and what of the model folder is broken.

    The cost model learns; everything else stays as it is.
    """

    zoo: Zoo
    costs: CostModel
    broken: Mapping[str, str] = field(default_factory=dict)
    """Reasons by the names of entries."""

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What jobs may need that can be run with it, as `Job.requirement` names it."""
        entries = [served.entry for served in self.zoo.values()]
        ladder = (LADDER,) if any(entry.in_ladder for entry in entries) else ()
        widths = (
            requirement_of(entry.name, width.width) for entry in entries for width in entry.widths
        )
        return (*ladder, *(requirement_of(entry.name) for entry in entries), *widths)

    @property
    def backends(self) -> dict[str, BackendState]:
        """What runs each model, for others to read."""
        return {
            name: BackendState(
                served.backend.runtime.value, served.backend.precision.value, dict(served.refused)
            )
            for name, served in self.zoo.items()
        }

    def exchanged(
        self, zoo: Zoo, lines: Mapping[str, Line], broken: Mapping[str, str]
    ) -> LoadedModels:
        """Return this with another zoo, `lines` being those of the rungs that are new. What
        was learnt of the others, and of this machine, is kept."""
        rungs = {stage_of(rung) for served in zoo.values() for rung in served.rungs}
        kept = {
            stage: line
            for stage, line in self.costs.lines.items()
            if stage in rungs or not stage.startswith(f"{NETWORK}:")
        }
        costs = replace(self.costs, lines={**kept, **lines}, tilings=tilings(zoo))
        return LoadedModels(zoo, costs, broken)


class ModelSlot:
    """Holds the models that new jobs are run with; a job in hand keeps the one it began with."""

    def __init__(self, loaded: LoadedModels) -> None:
        self.loaded = loaded

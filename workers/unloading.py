"""The networks that a resting worker takes out of memory, and what it costs to load them again."""

from __future__ import annotations

from collections.abc import Callable

from scheduling.cost_line import UNCALIBRATED
from scheduling.cost_model import CostModel
from scheduling.stages import stage_of
from scheduling.work import Work
from workers.loaded_model import ModelsByName
from workers.runtimes.base import Unloading

USUAL_WORK = Work(1_000_000, 4_000_000, "")
"""By which the cheapest network is found."""


def unloadable(models: ModelsByName) -> dict[str, Unloading]:
    """Return the networks that can be unloaded, by their stage."""
    networks = {
        stage_of(rung): served.session.at(rung.width)
        for served in models.values()
        for rung in served.rungs
    }
    return {stage: one for stage, one in networks.items() if isinstance(one, Unloading)}


def loading_times(models: ModelsByName) -> Callable[[str], float]:
    """Return a function from a stage to the ms until its network is in memory: 0 if it is there."""
    networks = unloadable(models)

    def loading_ms(stage: str) -> float:
        network = networks.get(stage)
        return 0.0 if network is None or network.loaded else network.load_ms

    return loading_ms


def spare_networks(models: ModelsByName, costs: CostModel) -> list[Unloading]:
    """Return the networks to unload, cheapest first: all but the cheapest, so that a picture whose
    budget leaves no time for loading still gets a network."""
    networks = unloadable(models)
    by_cost = sorted(
        networks, key=lambda stage: costs.lines.get(stage, UNCALIBRATED).at(USUAL_WORK)
    )
    return [networks[stage] for stage in by_cost[1:]]

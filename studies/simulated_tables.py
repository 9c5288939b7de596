"""The options of the simulator's mixed requests, by costs measured on two quiet cores."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from models.catalog import SHIPPED, read_catalog
from scheduling.cost_model import CostModel
from scheduling.options import Options
from scheduling.rungs import Rung
from scheduling.simulation.tables import tables_of
from scheduling.simulation.workload import MIXED

COSTS = Path(__file__).parents[1] / "benchmarks" / "costs" / "two-cores.json"
MARGIN = 1.23
"""Safe over expected cost where runs deviate by a tenth, as `anysr simulate` has it."""


def mixed_tables(pinned: Rung | None = None) -> list[Options]:
    """Return the options of each of the mixed kinds, or of the pinned rung alone."""
    entries = {entry.name: entry for entry in read_catalog(SHIPPED).models}
    costs = CostModel.from_dict(json.loads(COSTS.read_text()))
    costs = replace(costs, margin=MARGIN, jitter_ms=0)
    return tables_of([kind for kind, _ in MIXED], entries, costs, pinned=pinned)


def mean_best_ms(tables: Sequence[Options]) -> float:
    """Return the mean expected cost in ms of the best option of each mixed kind."""
    parts = zip(tables, MIXED, strict=True)
    return sum(options[-1].expected_ms * part for options, (_, part) in parts)

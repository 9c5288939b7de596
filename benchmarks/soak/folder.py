"""The folder of a run: the names of its files, and its plan."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from benchmarks.soak.plan import Plan

PLAN = "plan.json"
OUTCOMES = "outcomes.csv"
PROCESSES, STORES = "processes.csv", "stores.csv"
PAUSES = "pauses.csv"
KEYS = "keys.jsonl"
"""Numbers of keys by kind, at the end of each rest."""
LOG = "service.log"
REPORT = "report.md"


def begin(folder: Path, plan: Plan) -> None:
    """Make the folder of a run. Raises FileExistsError where it has one already."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / PLAN).open("x") as file:
        json.dump(asdict(plan), file, indent=1)


def plan_of(folder: Path) -> Plan:
    """Return the plan of a run. Raises FileNotFoundError."""
    return Plan(**json.loads((folder / PLAN).read_text()))

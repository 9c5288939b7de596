"""A model folder with the cheapest network alone, and its costs, so that workers start warm."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from models.catalog import SHIPPED, read_catalog, register
from workers.calibration import calibrate
from workers.calibration_cache import costs_name, facts_of, save_lines
from workers.loaded_model import load_models
from workers.settings import Runtime, WorkerSettings

NETWORK = "anysr-xs"
SETTINGS = {"ANYSR_RUNTIME": "onnx", "ANYSR_PRECISION": "float32", "ANYSR_WORKER_THREADS": "1"}
"""Of the workers that start with these costs: they choose no backend, which takes seconds."""


def write_models(folder: Path) -> None:
    """Write the folder."""
    folder.mkdir()
    entry = read_catalog(SHIPPED).get(NETWORK)
    for artifact in entry.artifacts:
        shutil.copy2(SHIPPED / artifact.file, folder)
    register(folder, entry)


def write_costs(models: Path, folder: Path) -> None:
    """Measure the costs that workers of `models` start with, once for all of them. They count as
    those of a quiet machine, because disturbed ones would be measured at every start."""
    folder.mkdir()
    settings = WorkerSettings(
        runtime=Runtime.ONNX, precision="float32", worker_threads=1, models_folder=models
    )
    loaded = load_models(models, settings, cache=folder)
    lines = calibrate(loaded).lines
    facts = facts_of(loaded, settings)
    quiet = {stage: replace(line, disturbed=False) for stage, line in lines.items()}
    save_lines(folder / costs_name(facts), facts, quiet)

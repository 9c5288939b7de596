"""A model folder with the cheapest network alone, and its costs, so that workers start warm."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

from models.catalog import SHIPPED, read_catalog, register
from workers.cache_files import cache_folder
from workers.calibration import calibrate
from workers.calibration_cache import costs_name, facts_of, save_lines
from workers.loaded_model import load_models
from workers.settings import Runtime, WorkerSettings

NETWORK = "anysr-xs"
SETTINGS = {"ANYSR_RUNTIME": "onnx", "ANYSR_PRECISION": "float32", "ANYSR_WORKER_THREADS": "1"}
"""Of the workers that start with these costs: they choose no backend, which takes seconds."""

KEPT_S = 86_400.0
"""How long measured costs are used by later runs."""


def write_models(folder: Path) -> None:
    """Write the folder."""
    folder.mkdir()
    entry = read_catalog(SHIPPED).get(NETWORK)
    for artifact in entry.artifacts:
        shutil.copy2(SHIPPED / artifact.file, folder)
    register(folder, entry)


def write_costs(models: Path, folder: Path) -> None:
    """Write the costs that workers of `models` start with: those of an earlier run on this machine,
    up to a day old, or else measured now, once for all workers. They count as those of a quiet
    machine, because disturbed ones would be measured at every start."""
    folder.mkdir()
    settings = WorkerSettings(
        runtime=Runtime.ONNX, precision="float32", worker_threads=1, models_folder=models
    )
    loaded = load_models(models, settings, cache=folder)
    facts = facts_of(loaded, settings)
    caches = cache_folder(None, os.environ)
    kept = caches and caches / "nemesis" / costs_name(facts)
    if kept is not None and _is_new(kept):
        shutil.copy2(kept, folder)
        return
    lines = calibrate(loaded).lines
    quiet = {stage: replace(line, disturbed=False) for stage, line in lines.items()}
    save_lines(folder / costs_name(facts), facts, quiet)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        save_lines(kept, facts, quiet)


def _is_new(file: Path) -> bool:
    return file.exists() and time.time() - file.stat().st_mtime < KEPT_S

"""Calibrated costs, cached on disk for later starts (`workers.cache_files`).

Lines are cached only if they were measured on a quiet machine; disturbed lines are used until they
have been remeasured. Each worker learns the machine's current slowdown anew. The costs of contended
runs are saved in a file of their own when a worker ends, because the first burst after a start
would otherwise come before they are known.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

from images.encode import writable_formats
from scheduling.cost_line import Line
from scheduling.cost_model import CostModel
from scheduling.rungs import FLOOR
from scheduling.slowdown import MOST_DELAY_MS
from scheduling.stages import DECODE, decode_stage, encode_stage, stage_of
from workers.cache_files import UNREADABLE, Facts, file_name, read_cached, versions, write_cached
from workers.calibration import (
    BetweenJobs,
    calibrate,
    measure_networks,
    remeasure,
    tilings,
    warm,
)
from workers.disturbance import Needs
from workers.loaded_model import LoadedModel, ModelsByName, artifacts_of
from workers.machine import machine_facts
from workers.settings import Device, Runtime, WorkerSettings

log = logging.getLogger("anysr.workers.calibration_cache")

FORMAT = 6
"""Raised when the same facts imply other costs: another way to measure, other stages, or faster
code between two versions."""
COSTS, CONTENTION = "costs", "contention"
"""Kinds of cache files."""

LIBRARIES = ("anysr-serve", "numpy", "pillow", "imagecodecs")
RUNTIME_LIBRARIES = {
    Runtime.ONNX: ("onnxruntime", "onnxruntime-gpu"),
    Runtime.OPENVINO: ("onnxruntime", "openvino"),
    Runtime.TORCHSCRIPT: ("torch",),
}

MAX_SLOWDOWN, MAX_HANDLING_MS = 20.0, 1000.0
"""Learnt values above these are ignored."""


def machine_costs(models: ModelsByName, settings: WorkerSettings, folder: Path | None) -> CostModel:
    """Return the costs of all stages on this machine, with every width warm: as cached by an
    earlier start, or else measured now, for seconds, and cached.

    `settings` are those that the models were loaded with. Without a folder nothing is cached.
    """
    if folder is None:
        return calibrate(models, needs_of(settings))
    facts = facts_of(models, settings)
    costs = _cached_or_measured(models, settings, folder / costs_name(facts), facts)
    costs.contended = read_contention(folder, facts)
    return costs


def _cached_or_measured(
    models: ModelsByName, settings: WorkerSettings, path: Path, facts: Facts
) -> CostModel:
    lines = read_lines(path, facts, set(stages_of(models)))
    if lines is None:
        costs = calibrate(models, needs_of(settings))
        save_quiet_lines(path, facts, costs.lines)
        return costs
    started = time.perf_counter()
    warm(models)
    log.info("costs read from %s; warm in %.1f s", path, time.perf_counter() - started)
    return CostModel(lines, tilings=tilings(models))


def added_lines(
    models: ModelsByName,
    added: Set[str],
    others: Mapping[str, Line],
    settings: WorkerSettings,
    folder: Path | None,
    between_jobs: BetweenJobs,
) -> dict[str, Line]:
    """Return the lines of the warm models `added` to others: as cached, or measured now, between
    jobs, and cached together with the lines of the `others`."""
    stages = set(stages_of(models))
    facts = facts_of(models, settings)
    path = folder / costs_name(facts) if folder is not None else None
    lines = read_lines(path, facts, stages) if path is not None else None
    if lines is None:
        fresh = {name: models[name] for name in models if name in added}
        new = measure_networks(fresh, between_jobs, needs_of(settings))
        lines = {stage: line for stage, line in {**others, **new}.items() if stage in stages}
        if path is not None and set(lines) == stages:
            save_quiet_lines(path, facts, lines)
    own = {stage_of(rung) for name in added for rung in models[name].rungs}
    return {stage: line for stage, line in lines.items() if stage in own}


def remeasured_lines(
    models: ModelsByName,
    before: Mapping[str, Line],
    settings: WorkerSettings,
    folder: Path | None,
    between_jobs: BetweenJobs,
) -> dict[str, Line]:
    """Return the lines of warm models, some of which were disturbed before: as cached by another
    worker since, or remeasured now, between jobs, and cached together with the rest."""
    stages = set(stages_of(models))
    facts = facts_of(models, settings)
    path = folder / costs_name(facts) if folder is not None else None
    lines = read_lines(path, facts, stages) if path is not None else None
    if lines is None:
        disturbed = {stage for stage in stages if stage not in before or before[stage].disturbed}
        new = remeasure(models, before, disturbed, between_jobs, needs_of(settings))
        lines = {stage: {**before, **new}[stage] for stage in stages}
        if path is not None:
            save_quiet_lines(path, facts, lines)
    return lines


def needs_of(settings: WorkerSettings) -> Needs:
    """Return what a measurement needs of the machine; with a GPU, threads only wait."""
    threads = settings.worker_threads or math.inf
    return Needs(0 if settings.device is Device.CUDA else threads)


def facts_of(models: ModelsByName, settings: WorkerSettings) -> Facts:
    """Return everything that the costs of these models depend on."""
    backends = {name: served.backend for name, served in models.items()}
    used = {library for one in backends.values() for library in RUNTIME_LIBRARIES[one.runtime]}
    return {
        "format": FORMAT,
        "machine": machine_facts(gpu=settings.device is Device.CUDA),
        "backends": {name: str(backend) for name, backend in backends.items()},
        "device": settings.device.value,
        "threads": [settings.worker_threads, settings.spin],
        "libraries": versions((*LIBRARIES, *sorted(used))),
        "artifacts": {name: _checksums(served) for name, served in models.items()},
        "tilings": {name: tiling.to_dict() for name, tiling in tilings(models).items()},
    }


def read_lines(path: Path, facts: Facts, stages: set[str]) -> dict[str, Line] | None:
    """Return the lines of a cache file; None, with a log line, if it is invalid."""
    try:
        content = read_cached(path, facts)
        lines = {stage: _line(parts) for stage, parts in content["lines"].items()}
        if set(lines) != stages:
            raise ValueError("it has other stages")
    except FileNotFoundError:
        return None
    except UNREADABLE as error:
        log.warning("the costs in %s cannot be used, so they are measured: %s", path, error)
        return None
    return lines


def save_quiet_lines(path: Path, facts: Facts, lines: Mapping[str, Line]) -> None:
    """Cache lines if none of them was disturbed; log a warning otherwise."""
    if not any(line.disturbed for line in lines.values()):
        save_lines(path, facts, lines)
        return
    log.warning(
        "costs of a disturbed machine are not cached for the next start; predictions may be off "
        "until they are remeasured while this worker is idle and the machine quiet"
    )


def save_lines(path: Path, facts: Facts, lines: Mapping[str, Line]) -> None:
    """Cache lines."""
    figures = {k: list(v.parts) for k, v in lines.items()}
    write_cached(path, facts, {"lines": figures})


def save_contention(
    models: ModelsByName, settings: WorkerSettings, folder: Path | None, costs: CostModel
) -> None:
    """Save the costs of contended runs, if any were learnt."""
    if folder is not None and costs.contended is not None:
        facts, learnt = facts_of(models, settings), costs.to_dict()["contended"]
        write_cached(folder / contention_name(facts), facts, {"contended": learnt})


def read_contention(folder: Path, facts: Facts) -> CostModel | None:
    """Return the costs of contended runs that an earlier worker saved, without the margin, which an
    overload may have raised; None if there are none or they are invalid."""
    path = folder / contention_name(facts)
    try:
        content = read_cached(path, facts)
        learnt = CostModel.from_dict({"lines": {}, "slowdown": {}, **content}).contended
        if learnt is None or not _plausible(learnt):
            raise ValueError("its values are out of range")
    except FileNotFoundError:
        return None
    except UNREADABLE as error:
        log.warning("the costs of contended runs in %s cannot be used: %s", path, error)
        return None
    learnt.margin = CostModel.margin
    return learnt


def costs_name(facts: Facts) -> str:
    """Return the name of the file of lines for these facts."""
    return file_name(COSTS, facts)


def contention_name(facts: Facts) -> str:
    """Return the name of the file of contended costs for these facts."""
    return file_name(CONTENTION, facts)


def _plausible(learnt: CostModel) -> bool:
    return (
        all(0 < slowdown <= MAX_SLOWDOWN for slowdown in learnt.slowdown.values())
        and all(0 <= delay <= MOST_DELAY_MS for delay in learnt.delay.values())
        and 0 <= learnt.handling_ms <= MAX_HANDLING_MS
    )


def stages_of(models: ModelsByName) -> Iterator[str]:
    """Yield the names of all stages that calibration measures."""
    yield DECODE
    yield stage_of(FLOOR)
    for served in models.values():
        yield from map(stage_of, served.rungs)
    yield from map(decode_stage, writable_formats())
    yield from map(encode_stage, writable_formats())


def _line(parts: list[float]) -> Line:
    figures = [float(part) for part in parts]
    if not all(math.isfinite(part) and part >= 0 for part in figures) or not any(figures):
        raise ValueError(f"{parts} is no line")
    fixed, per_source, per_output, per_megabyte = figures
    return Line(fixed, per_source, per_output, per_megabyte)


def _checksums(served: LoadedModel) -> list[Any]:
    used = artifacts_of(served.entry, served.backend)
    return [[artifact.file, artifact.sha256] for artifact in used]

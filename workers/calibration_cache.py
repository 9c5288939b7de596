"""Calibrated costs, cached on disk for later starts (`workers.cache_files`).

Lines are kept only of a quiet machine: what was measured while others used it is used until it has
been measured again, in a moment of peace. How fast the machine is at the moment is seen anew by
each worker; what runs take beside others is kept when a worker ends, in a file of its own, for the
first burst would else come before any of it is known.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping, Set
from dataclasses import astuple
from pathlib import Path
from typing import Any

from images.encode import writable_formats
from scheduling.cost_model import (
    DECODE,
    MOST_DELAY_MS,
    CostModel,
    Line,
    encode_stage,
    stage_of,
)
from scheduling.rungs import FLOOR
from workers.cache_files import UNREADABLE, Facts, file_name, keep, read_kept, versions
from workers.calibration import (
    Turn,
    calibrate,
    measure_again,
    measure_networks,
    tilings,
    warm,
)
from workers.disturbance import Needs
from workers.loaded_model import LoadedModel, Zoo, artifacts_of
from workers.machine import machine_facts
from workers.settings import Device, Runtime, WorkerSettings

log = logging.getLogger("anysr.workers.calibration_cache")

FORMAT = 5
"""To be raised when the same facts come to mean other costs: another way to measure, other stages,
or code of ours that became faster between two versions."""
COSTS, CONTENTION = "costs", "contention"
"""Kinds of kept files."""

LIBRARIES = ("anysr-serve", "numpy", "pillow", "imagecodecs")
RUNTIME_LIBRARIES = {
    Runtime.ONNX: ("onnxruntime", "onnxruntime-gpu"),
    Runtime.OPENVINO: ("onnxruntime", "openvino"),
    Runtime.TORCHSCRIPT: ("torch",),
}

MOST_SLOWDOWN, MOST_HANDLING_MS = 20.0, 1000.0
"""What is kept as learnt lies below these, or it is not believed."""


def costs_here(zoo: Zoo, settings: WorkerSettings, folder: Path | None) -> CostModel:
    """Return what everything costs on this machine, with every width warm: as it was measured at
    an earlier start, or else measured now, for seconds, and kept.

    `settings` are those that the zoo was loaded with; without a folder nothing is kept.
    """
    if folder is None:
        return calibrate(zoo, needs_of(settings))
    facts = facts_of(zoo, settings)
    costs = _costs_of(zoo, settings, folder / costs_name(facts), facts)
    costs.contended = read_contention(folder, facts)
    return costs


def _costs_of(zoo: Zoo, settings: WorkerSettings, path: Path, facts: Facts) -> CostModel:
    lines = read_lines(path, facts, set(stages_of(zoo)))
    if lines is None:
        costs = calibrate(zoo, needs_of(settings))
        keep_quiet_lines(path, facts, costs.lines)
        return costs
    started = time.perf_counter()
    warm(zoo)
    log.info("costs read from %s; warm in %.1f s", path, time.perf_counter() - started)
    return CostModel(lines, tilings=tilings(zoo))


def added_lines(
    zoo: Zoo,
    added: Set[str],
    known: Mapping[str, Line],
    settings: WorkerSettings,
    folder: Path | None,
    turn: Turn,
) -> dict[str, Line]:
    """Return the lines of the rungs of the models `added` to a zoo, which are warm: as they were
    kept, or measured now, when it is their `turn`, and kept with those `known` of the others."""
    stages = set(stages_of(zoo))
    facts = facts_of(zoo, settings)
    path = folder / costs_name(facts) if folder is not None else None
    lines = read_lines(path, facts, stages) if path is not None else None
    if lines is None:
        fresh = {name: zoo[name] for name in zoo if name in added}
        new = measure_networks(fresh, turn, needs_of(settings))
        lines = {stage: line for stage, line in {**known, **new}.items() if stage in stages}
        if path is not None and set(lines) == stages:
            keep_quiet_lines(path, facts, lines)
    own = {stage_of(rung) for name in added for rung in zoo[name].rungs}
    return {stage: line for stage, line in lines.items() if stage in own}


def lines_again(
    zoo: Zoo,
    known: Mapping[str, Line],
    settings: WorkerSettings,
    folder: Path | None,
    turn: Turn,
) -> dict[str, Line]:
    """Return the lines of a warm zoo of which some of those `known` were disturbed: as another
    worker has kept them since, or these measured again, `turn` by turn, and kept with the rest."""
    stages = set(stages_of(zoo))
    facts = facts_of(zoo, settings)
    path = folder / costs_name(facts) if folder is not None else None
    lines = read_lines(path, facts, stages) if path is not None else None
    if lines is None:
        disturbed = {stage for stage in stages if stage not in known or known[stage].disturbed}
        new = measure_again(zoo, known, disturbed, turn, needs_of(settings))
        lines = {stage: {**known, **new}[stage] for stage in stages}
        if path is not None:
            keep_quiet_lines(path, facts, lines)
    return lines


def needs_of(settings: WorkerSettings) -> Needs:
    """Return what a measurement needs of the machine; a GPU computes while the processor waits."""
    threads = settings.worker_threads or math.inf
    return Needs(0 if settings.device is Device.CUDA else threads)


def facts_of(zoo: Zoo, settings: WorkerSettings) -> Facts:
    """Return all that the costs of a zoo depend on, in JSON's types."""
    backends = {name: served.backend for name, served in zoo.items()}
    used = {library for one in backends.values() for library in RUNTIME_LIBRARIES[one.runtime]}
    return {
        "format": FORMAT,
        "machine": machine_facts(gpu=settings.device is Device.CUDA),
        "backends": {name: str(backend) for name, backend in backends.items()},
        "device": settings.device.value,
        "threads": [settings.worker_threads, settings.spin],
        "libraries": versions((*LIBRARIES, *sorted(used))),
        "artifacts": {name: _checksums(served) for name, served in zoo.items()},
        "tilings": {name: list(astuple(tiling)) for name, tiling in tilings(zoo).items()},
    }


def read_lines(path: Path, facts: Facts, stages: set[str]) -> dict[str, Line] | None:
    """Return the lines of a kept file; None, with a log line, when it is not to be believed."""
    try:
        content = read_kept(path, facts)
        lines = {stage: _line(parts) for stage, parts in content["lines"].items()}
        if set(lines) != stages:
            raise ValueError("it has other stages")
    except FileNotFoundError:
        return None
    except UNREADABLE as error:
        log.warning("the costs in %s cannot be used, so they are measured: %s", path, error)
        return None
    return lines


def keep_quiet_lines(path: Path, facts: Facts, lines: Mapping[str, Line]) -> None:
    """Keep lines if none of them was disturbed; say so if one was."""
    if not any(line.disturbed for line in lines.values()):
        keep_lines(path, facts, lines)
        return
    log.warning(
        "costs of a disturbed machine are not kept for the next start; until they are measured "
        "again, in a moment when this worker is idle and the machine quiet, predictions may be off"
    )


def keep_lines(path: Path, facts: Facts, lines: Mapping[str, Line]) -> None:
    """Write a file in one step; what cannot be kept is measured again next time."""
    figures = {k: [v.fixed, v.per_source, v.per_output] for k, v in lines.items()}
    keep(path, facts, {"lines": figures})


def keep_contention(
    zoo: Zoo, settings: WorkerSettings, folder: Path | None, costs: CostModel
) -> None:
    """Write down what runs take beside others, if anything was learnt of that."""
    if folder is not None and costs.contended is not None:
        facts, learnt = facts_of(zoo, settings), costs.to_dict()["contended"]
        keep(folder / contention_name(facts), facts, {"contended": learnt})


def read_contention(folder: Path, facts: Facts) -> CostModel | None:
    """Return what an earlier worker learnt of runs beside others, but for its margin, which a last
    overload may have raised; None where nothing is kept or it is not to be believed."""
    path = folder / contention_name(facts)
    try:
        content = read_kept(path, facts)
        learnt = CostModel.from_dict({"lines": {}, "slowdown": {}, **content}).contended
        if learnt is None or not _sane(learnt):
            raise ValueError("it cannot be")
    except FileNotFoundError:
        return None
    except UNREADABLE as error:
        log.warning("what runs take beside others, in %s, cannot be used: %s", path, error)
        return None
    learnt.margin = CostModel.margin
    return learnt


def costs_name(facts: Facts) -> str:
    """Return the name of the file for these facts that says what everything costs."""
    return file_name(COSTS, facts)


def contention_name(facts: Facts) -> str:
    """Return the name of the file for these facts that says what runs take beside others."""
    return file_name(CONTENTION, facts)


def _sane(learnt: CostModel) -> bool:
    return (
        all(0 < slowdown <= MOST_SLOWDOWN for slowdown in learnt.slowdown.values())
        and all(0 <= delay <= MOST_DELAY_MS for delay in learnt.delay.values())
        and 0 <= learnt.handling_ms <= MOST_HANDLING_MS
    )


def stages_of(zoo: Zoo) -> Iterator[str]:
    """Yield the name of every stage that calibration measures."""
    yield DECODE
    yield stage_of(FLOOR)
    for served in zoo.values():
        yield from map(stage_of, served.rungs)
    yield from map(encode_stage, writable_formats())


def _line(parts: list[float]) -> Line:
    fixed, per_source, per_output = figures = [float(part) for part in parts]
    if not all(math.isfinite(part) and part >= 0 for part in figures) or not any(figures):
        raise ValueError(f"{parts} is no line")
    return Line(fixed, per_source, per_output)


def _checksums(served: LoadedModel) -> list[Any]:
    used = artifacts_of(served.entry, served.backend)
    return [[artifact.file, artifact.sha256] for artifact in used]

"""Share of runs that stay below the safe prediction of the cost model (Linux).

A worker's own code runs pictures of mixed sizes, one after the other in this process, and updates
the cost model: after the warm-up, while another process keeps one core busy, and after that has
ended. Forty-nine of fifty runs should stay below their safe prediction once the model has adapted.

Figures: docs/scheduling.md, "Expected cost of a run", states the share that this study checks.
Run: python -m studies.cost_accuracy --threads 1
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from images.limits import Limits
from jobs.formats import ImageFormat
from jobs.job import JobRequest, OnMiss
from models.catalog import SHIPPED
from scheduling.cost_model import CostModel
from scheduling.load import Load
from scheduling.stages import NETWORK
from studies.arguments import parser_of
from workers.calibration import calibrate
from workers.cost_updates import update_cost_model
from workers.execution import execute
from workers.loaded_model import ModelsByName, load_models
from workers.settings import WorkerSettings

SIDES = 48, 360
SCALES = 1.2, 4.0
SLACKS_MS = 15.0, 1500.0
"""Uniform in their logarithm, so that small and large pictures and all widths occur."""
FORMATS = (ImageFormat.JPEG, ImageFormat.JPEG, ImageFormat.PNG, ImageFormat.WEBP)
ALONE = Load(now_ms=0.0, workers=1)
"""No other job runs or waits."""
LIMITS = Limits(source_pixels=10**6, output_pixels=10**7)
SPIN = "import os, sys\nos.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"


@dataclass(frozen=True)
class Phase:
    """Runs that are counted together."""

    name: str
    runs: int
    busy: bool
    """Whether another process keeps one core busy during the phase."""


PHASES = (
    Phase("first runs", 50, False),
    Phase("after 50 runs", 200, False),
    Phase("a core is taken: first 20 runs", 20, True),
    Phase("a core is taken: after 20 runs", 100, True),
    Phase("it is free again: first 20 runs", 20, False),
    Phase("it is free again: after 20 runs", 100, False),
)


@dataclass(frozen=True)
class Run:
    """One run, and its prediction."""

    phase: str
    model: str
    width: float
    source_pixels: int
    halo_pixels: int
    output_pixels: int
    output_format: str
    expected_ms: float
    safe_ms: float
    run_ms: float
    stages_ms: dict[str, float]
    margin: float
    slowdown: float
    """Of the networks; margin and slowdown are those before the run."""


@dataclass(frozen=True)
class Accuracy:
    """Figures of a phase."""

    runs: int
    kept: float
    """Part of the runs that stayed below their safe prediction."""
    ratio: tuple[float, float, float]
    """5th, 50th and 95th percentile of measured over expected time."""
    margin: float
    slowdown: float
    """Means over the phase."""


def accuracy(runs: Sequence[Run]) -> Accuracy:
    """Return the figures of at least one run."""
    low, median, high = np.percentile([run.run_ms / run.expected_ms for run in runs], (5, 50, 95))
    return Accuracy(
        len(runs),
        float(np.mean([run.run_ms <= run.safe_ms for run in runs])),
        (float(low), float(median), float(high)),
        float(np.mean([run.margin for run in runs])),
        float(np.mean([run.slowdown for run in runs])),
    )


def measure(
    models: ModelsByName, costs: CostModel, phases: Sequence[Phase] = PHASES, seed: int = 1
) -> list[Run]:
    """Run all phases, one run after the other, and return every run."""
    random = np.random.default_rng(seed)
    runs = []
    for phase in phases:
        with taken_core() if phase.busy else contextlib.nullcontext():
            runs += [_run(phase.name, models, costs, random) for _ in range(phase.runs)]
    return runs


@contextlib.contextmanager
def taken_core() -> Iterator[subprocess.Popen[bytes]]:
    """Keep the last core of this process busy by another process that runs only there."""
    core = max(os.sched_getaffinity(0))
    with subprocess.Popen([sys.executable, "-c", SPIN, str(core)]) as process:
        try:
            time.sleep(0.2)
            yield process
        finally:
            process.kill()


def _run(phase: str, models: ModelsByName, costs: CostModel, random: np.random.Generator) -> Run:
    job, payload = draw_job(random)
    slack_ms = _log_uniform(random, *SLACKS_MS)
    margin, slowdown = costs.margin, costs.slowdown.get(NETWORK, 1.0)
    since = time.perf_counter()
    execution = execute(job, payload, models, costs, slack_ms, ALONE, LIMITS)
    run_ms = (time.perf_counter() - since) * 1e3
    option, work = execution.bound.option, execution.bound.choice.work
    update_cost_model(execution, run_ms)
    return Run(
        phase,
        option.rung.model,
        option.rung.width,
        work.source_pixels,
        work.halo_pixels,
        work.output_pixels,
        work.output_format,
        option.expected_ms,
        option.safe_ms,
        run_ms,
        execution.result.stages_ms,
        margin,
        slowdown,
    )


def draw_job(random: np.random.Generator) -> tuple[JobRequest, bytes]:
    """Return a job of random size, scale and format, with its picture as JPEG."""
    width, height = (round(_log_uniform(random, *SIDES)) for _ in range(2))
    scale = random.uniform(*SCALES)
    payload = _photo_like(width, height, random)
    job = JobRequest(
        id="bench",
        source_width=width,
        source_height=height,
        output_width=round(scale * width),
        output_height=round(scale * height),
        output_format=FORMATS[random.integers(len(FORMATS))],
        quality=None,
        model=None,
        pinned_width=None,
        on_miss=OnMiss.DEGRADE,
        budget_ms=60_000.0,
        source_format=ImageFormat.JPEG,
        source_bytes=len(payload),
    )
    return job, payload


def _photo_like(width: int, height: int, random: np.random.Generator) -> bytes:
    """Return a JPEG that takes about as long to decode as a photograph."""
    coarse = random.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), dtype=np.uint8)
    smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    grain = random.normal(0, 5, (height, width, 3))
    pixels = (np.asarray(smooth) + grain).clip(0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _log_uniform(random: np.random.Generator, low: float, high: float) -> float:
    return math.exp(random.uniform(math.log(low), math.log(high)))


def arguments_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = parser_of("studies.cost_accuracy", __doc__)
    parser.add_argument("--threads", type=int, default=0, help="threads of a network; 0: all cores")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--models", type=Path, default=SHIPPED, help="model folder")
    parser.add_argument("--json", type=Path, help="also write every run here")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures of each phase."""
    given = arguments_of(arguments)
    threads = given.threads or len(os.sched_getaffinity(0))
    models = load_models(given.models, WorkerSettings(worker_threads=threads))
    costs = calibrate(models)
    lines = {stage: asdict(line) for stage, line in costs.lines.items()}
    runs = measure(models, costs, seed=given.seed)
    print(
        f"{'phase':<34}{'runs':>5}{'kept':>8}{'measured / expected':>24}"
        f"{'margin':>8}{'slowdown':>10}"
    )
    for phase in PHASES:
        seen = accuracy([run for run in runs if run.phase == phase.name])
        spread = " ".join(f"{ratio:.2f}" for ratio in seen.ratio)
        figures = (
            f"{seen.runs:>5}{seen.kept:>8.1%}{spread:>24}{seen.margin:>8.2f}{seen.slowdown:>10.2f}"
        )
        print(f"{phase.name:<34}{figures}")
    if given.json:
        given.json.write_text(json.dumps({"lines": lines, "runs": [asdict(r) for r in runs]}))


if __name__ == "__main__":
    main()

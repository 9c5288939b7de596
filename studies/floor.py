"""The floor of the ladder beside Pillow's own: one photograph decoded, resampled and encoded.

`python -m studies.floor`. Both sides run in turn in one process, on one thread, and write JPEG
at the same settings; the shortest time of each counts, for what else the machine does only ever
adds. The memory of each is measured in a process of its own.
"""

from __future__ import annotations

import io
import itertools
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from PIL import Image

from benchmarks.pictures import draw_jpeg
from images.limits import Limits
from jobs.formats import DEFAULT_QUALITY, ImageFormat
from jobs.job import JobRequest, OnMiss
from workers.pipeline import PipelineResult, Progress, run_pipeline

Answer = TypeVar("Answer")
PHOTOGRAPH = (4032, 3024)
"""Width and height of what phones of 12 megapixels write."""
SCALE = 2
ROUNDS = 5
MAX_RSS_BYTES = 1 if sys.platform == "darwin" else 1024
"""What `ru_maxrss` counts in."""


@dataclass(frozen=True)
class FloorTiming:
    """The shortest ms of each side, by stages, and what each adds to the memory of its process at
    its peak, in MB."""

    cheapest_ms: dict[str, float]
    pillow_ms: dict[str, float]
    floor_mb: float
    pillow_mb: float

    @property
    def ratio(self) -> float:
        """The floor's time over Pillow's."""
        return sum(self.cheapest_ms.values()) / sum(self.pillow_ms.values())


Side = Callable[[bytes, int, int], dict[str, float]]
"""(JPEG, its width and height) -> ms by stage of making it SCALE times as large."""


def time_floor(width: int, height: int, rounds: int = ROUNDS) -> FloorTiming:
    """Time both sides on a drawn JPEG of width x height pixels."""
    sides: tuple[Side, Side] = (by_floor, by_pillow)
    # Memory first, and the picture drawn elsewhere: a process is born with its parent's peak.
    jpeg = _elsewhere(draw_jpeg, width, height)
    memory = [_elsewhere(_grown_mb, side, jpeg, width, height) for side in sides]
    runs = [[side(jpeg, width, height) for side in sides] for _ in range(rounds)]
    floor, pillow = (
        min(times, key=lambda ms: sum(ms.values())) for times in zip(*runs, strict=True)
    )
    return FloorTiming(floor, pillow, *memory)


def by_floor(jpeg: bytes, width: int, height: int) -> dict[str, float]:
    """Make it as a worker does."""
    larger = SCALE * width, SCALE * height
    job = JobRequest(
        id="bench",
        source_width=width,
        source_height=height,
        output_width=larger[0],
        output_height=larger[1],
        output_format=ImageFormat.JPEG,
        quality=None,
        model=None,
        pinned_width=None,
        on_miss=OnMiss.DEGRADE,
        budget_ms=60_000.0,
    )
    limits = Limits(width * height, larger[0] * larger[1])
    made: PipelineResult = run_pipeline(job, jpeg, limits, lambda _: None, Progress())
    return {"resample" if s == "network" else s: ms for s, ms in made.stages_ms.items()}


def by_pillow(jpeg: bytes, width: int, height: int) -> dict[str, float]:
    """Make it with Pillow alone."""
    moments = [time.perf_counter()]
    image = Image.open(io.BytesIO(jpeg))
    image.load()
    moments.append(time.perf_counter())
    larger = image.resize((SCALE * width, SCALE * height), Image.Resampling.LANCZOS)
    moments.append(time.perf_counter())
    larger.save(io.BytesIO(), "JPEG", quality=DEFAULT_QUALITY, subsampling=0)
    moments.append(time.perf_counter())
    spent = [1e3 * (b - a) for a, b in itertools.pairwise(moments)]
    return dict(zip(("decode", "resample", "encode"), spent, strict=True))


def _elsewhere(call: Callable[..., Answer], *arguments: object) -> Answer:
    """Return what a call answers in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(call, arguments)


def _grown_mb(side: Side, jpeg: bytes, width: int, height: int) -> float:
    """Return by how much the peak of this process's memory grows, in MB."""
    side(draw_jpeg(16, 16), 16, 16)  # what is loaded at the first run is no part of it
    before = _max_rss()
    side(jpeg, width, height)
    return (_max_rss() - before) / 1e6


def _max_rss() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAX_RSS_BYTES


def main() -> None:
    """Time both sides on a phone's photograph."""
    width, height = PHOTOGRAPH
    timing = time_floor(width, height)
    print(f"{width} x {height} JPEG, x{SCALE}, JPEG out; the best of {ROUNDS}, in turn")
    for name, ms, mb in (
        ("floor", timing.cheapest_ms, timing.floor_mb),
        ("Pillow", timing.pillow_ms, timing.pillow_mb),
    ):
        stages = ", ".join(f"{stage} {spent:.0f}" for stage, spent in ms.items())
        print(f"{name}: {sum(ms.values()):.0f} ms ({stages}), {mb:.0f} MB at its peak")
    print(f"ratio {timing.ratio:.2f}")


if __name__ == "__main__":
    main()

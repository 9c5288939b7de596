"""Time and memory of the floor of the ladder against Pillow: one photograph, JPEG in and out.

Both decode, resample and encode in turn in one process, on one thread, with the same JPEG settings.
The shortest time of each counts, because other load only ever adds time. The memory of each is
measured in a process of its own.

Figures: ARCHITECTURE.md, "Pictures".
Run: python -m studies.floor --rounds 5
"""

from __future__ import annotations

import argparse
import io
import itertools
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from PIL import Image

from benchmarks.pictures import draw_jpeg
from images.limits import Limits
from jobs.formats import DEFAULT_QUALITY, ImageFormat
from jobs.job import JobRequest, OnMiss
from studies.arguments import parser_of
from workers.pipeline import PipelineResult, Progress, run_pipeline

Answer = TypeVar("Answer")
PHOTOGRAPH = (4032, 3024)
"""Width and height of a phone's photograph of 12 megapixels."""
SCALE = 2
ROUNDS = 5
MAX_RSS_BYTES = 1 if sys.platform == "darwin" else 1024
"""Bytes in a unit of `ru_maxrss`."""


@dataclass(frozen=True)
class FloorTiming:
    """Shortest ms of each side by stage, and growth of its process's peak memory in MB."""

    resampled_ms: dict[str, float]
    pillow_ms: dict[str, float]
    floor_mb: float
    pillow_mb: float

    @property
    def ratio(self) -> float:
        """The floor's time over Pillow's."""
        return sum(self.resampled_ms.values()) / sum(self.pillow_ms.values())


Side = Callable[[bytes, int, int], dict[str, float]]
"""(JPEG, width, height) -> ms by stage of upscaling it by `SCALE`."""


def time_floor(width: int, height: int, rounds: int = ROUNDS) -> FloorTiming:
    """Time both sides on a drawn JPEG of width x height pixels."""
    sides: tuple[Side, Side] = (by_floor, by_pillow)
    # Memory first, and drawing in another process: a process inherits its parent's peak.
    jpeg = _in_new_process(draw_jpeg, width, height)
    memory = [_in_new_process(_grown_mb, side, jpeg, width, height) for side in sides]
    runs = [[side(jpeg, width, height) for side in sides] for _ in range(rounds)]
    floor, pillow = (
        min(times, key=lambda ms: sum(ms.values())) for times in zip(*runs, strict=True)
    )
    return FloorTiming(floor, pillow, *memory)


def by_floor(jpeg: bytes, width: int, height: int) -> dict[str, float]:
    """Upscale by the code of a worker."""
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
    """Upscale by Pillow alone."""
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


def _in_new_process(call: Callable[..., Answer], *arguments: object) -> Answer:
    """Return the result of a call in a new process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(call, arguments)


def _grown_mb(side: Side, jpeg: bytes, width: int, height: int) -> float:
    """Return the growth of this process's peak memory, in MB."""
    side(draw_jpeg(16, 16), 16, 16)  # loads modules, which do not count
    before = _max_rss()
    side(jpeg, width, height)
    return (_max_rss() - before) / 1e6


def _max_rss() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAX_RSS_BYTES


def arguments_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = parser_of("studies.floor", __doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="timed runs of each side")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Time both sides on a phone's photograph."""
    rounds = arguments_of(arguments).rounds
    width, height = PHOTOGRAPH
    timing = time_floor(width, height, rounds)
    print(f"{width} x {height} JPEG, x{SCALE}, JPEG out; the best of {rounds}, in turn")
    for name, ms, mb in (
        ("floor", timing.resampled_ms, timing.floor_mb),
        ("Pillow", timing.pillow_ms, timing.pillow_mb),
    ):
        stages = ", ".join(f"{stage} {spent:.0f}" for stage, spent in ms.items())
        print(f"{name}: {sum(ms.values()):.0f} ms ({stages}), {mb:.0f} MB at its peak")
    print(f"ratio {timing.ratio:.2f}")


if __name__ == "__main__":
    main()

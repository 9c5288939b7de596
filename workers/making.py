"""One job from bytes to bytes, on the worker's own thread: decode, network, encode."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from jobs.errors import InvalidRequest, OutputTooLarge
from jobs.job import Job
from workers.decode import decode
from workers.encode import check_sides, encode
from workers.picture import Picture
from workers.upscale import Engine, upscale


class Stopped(Exception):
    """The job was withdrawn, or is another worker's by now: nothing is to be delivered."""


class Progress:
    """What the making thread and the event loop tell each other."""

    def __init__(self) -> None:
        self.part = 0.0
        """Of the network's work, from 0 to 1."""
        self._stop = threading.Event()

    def stop(self) -> None:
        """Let the making end at its next look."""
        self._stop.set()

    def report(self, part: float) -> None:
        """Note the part that is done. Raises Stopped when nobody waits for the rest."""
        self.part = part
        if self._stop.is_set():
            raise Stopped


@dataclass(frozen=True)
class Limits:
    """What is made. The gateway looks first, and `guard` again: others may fill the queue too."""

    source_pixels: int
    output_pixels: int


@dataclass(frozen=True)
class Made:
    """The encoded picture and what it took."""

    picture: bytes
    tiles: int
    stages_ms: dict[str, float]


@dataclass
class _Stopwatch:
    laps: dict[str, float] = field(default_factory=dict)
    since: float = field(default_factory=time.perf_counter)

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.laps[stage] = (now - self.since) * 1e3
        self.since = now


def guard(job: Job, limits: Limits) -> None:
    """Refuse a job that must not be made, before anything is planned for it.

    Raises OutputTooLarge and InvalidRequest.
    """
    if job.output_width * job.output_height > limits.output_pixels:
        raise OutputTooLarge(max_pixels=limits.output_pixels)
    check_sides(job.output_format, job.output_height, job.output_width)
    if job.output_width < job.source_width or job.output_height < job.source_height:
        raise InvalidRequest("The output must not be smaller than the input.")


def make(
    job: Job, payload: bytes, engine: Engine | None, limits: Limits, progress: Progress
) -> Made:
    """Make the picture of a job that passed `guard`; by plain resampling without an engine.

    Raises errors of `jobs.errors` for what is wrong with the job or its bytes, and Stopped.
    """
    watch = _Stopwatch()
    picture = decode(payload, limits.source_pixels)
    _compare(job, picture)
    progress.report(0.0)
    watch.lap("decode")
    larger = upscale(picture, job.output_height, job.output_width, engine, progress.report)
    watch.lap("network")
    data = encode(larger.picture, job.output_format, job.quality)
    progress.report(1.0)
    watch.lap("encode")
    return Made(data, larger.tiles, watch.laps)


def _compare(job: Job, picture: Picture) -> None:
    if (picture.width, picture.height) != (job.source_width, job.source_height):
        raise InvalidRequest(
            f"The image has {picture.width} x {picture.height} pixels, not the "
            f"{job.source_width} x {job.source_height} that the job names."
        )

"""One job from bytes to bytes, on the worker's own thread: decode, network, encode."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from images.decode import decode
from images.encode import check_sides, encode
from images.limits import Limits
from images.picture import Picture
from jobs.errors import InvalidRequest, OutputTooLarge
from jobs.job import Job
from workers.runtimes.base import Interruptible, Network
from workers.upscale import Engine, upscale


class Stopped(Exception):
    """The job was withdrawn, or is another worker's by now: nothing is to be delivered."""


See = Callable[[Picture], Engine | None]
"""Shown the decoded picture, on the making thread; answers what to make it with, None for plain
resampling. What it raises ends the making."""

Between = Callable[[float], Engine | None]
"""Called on the making thread between two tiles, and when one was interrupted, with the part of the
network's work that is done; answers what to go on with, None for the same as before."""


class Progress:
    """What the making thread and the event loop tell each other."""

    def __init__(self, between: Between | None = None) -> None:
        self.part = 0.0
        """Of the network's work, from 0 to 1."""
        self.away_ms = 0.0
        """For how long the picture was set aside between tiles."""
        self._between = between
        self._stop = threading.Event()
        self._network: Network | None = None

    @contextlib.contextmanager
    def running_on(self, engine: Engine | None) -> Iterator[None]:
        """Know what the making waits for meanwhile."""
        self._network = None if engine is None else engine.network
        try:
            yield
        finally:
            self._network = None

    def stop(self) -> None:
        """Let the making end at its next look, and what it waits for at once."""
        first, network = not self._stop.is_set(), self._network
        self._stop.set()
        if first and isinstance(network, Interruptible):
            network.interrupt()

    def report(self, part: float) -> Engine | None:
        """Note the part that is done, and answer what to go on with, None for the same as before.

        Raises Stopped when nobody waits for the rest.
        """
        self.part = part
        engine = None
        if self._between is not None and part < 1:
            since = time.perf_counter()
            engine = self._between(part)
            self.away_ms += (time.perf_counter() - since) * 1e3
        if engine is not None:
            self._network = engine.network
        self.look()
        return engine

    def look(self) -> None:
        """Raise Stopped when nobody waits for the picture any more."""
        if self._stop.is_set():
            raise Stopped


@dataclass(frozen=True)
class PipelineResult:
    """The encoded picture and what it took."""

    picture: bytes
    tiles: int
    stages_ms: dict[str, float]
    away_ms: float = 0.0
    """For how long it was set aside between tiles; in none of the stages."""
    untouched: bool = False
    """Whether its pixels are the source's: nothing was run."""


@dataclass
class _Stopwatch:
    laps: dict[str, float] = field(default_factory=dict)
    since: float = field(default_factory=time.perf_counter)

    def lap(self, stage: str, without_ms: float = 0.0) -> None:
        now = time.perf_counter()
        self.laps[stage] = (now - self.since) * 1e3 - without_ms
        self.since = now

    def skip(self) -> None:
        """Count what was done since the last lap in none."""
        self.since = time.perf_counter()


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
    job: Job,
    payload: bytes,
    engine: Engine | None,
    limits: Limits,
    progress: Progress,
    see: See | None = None,
) -> PipelineResult:
    """Make the picture of a job that passed `guard`; by plain resampling without an engine. What
    `see` answers takes the engine's place.

    Raises errors of `jobs.errors` for what is wrong with the job or its bytes, and Stopped.
    """
    watch = _Stopwatch()
    picture = decode(payload, limits.source_pixels)
    _compare(job, picture)
    progress.look()
    watch.lap("decode")
    if see is not None:
        engine = see(picture)
        watch.skip()
    size = job.output_height, job.output_width
    with progress.running_on(engine):
        larger = upscale(picture, *size, engine, progress.report, job.strength)
    del picture  # encoding needs its room
    watch.lap("network", progress.away_ms)
    data = encode(larger.picture, job.output_format, job.quality)
    progress.report(1.0)
    watch.lap("encode")
    return PipelineResult(data, larger.tiles, watch.laps, progress.away_ms, larger.untouched)


def _compare(job: Job, picture: Picture) -> None:
    if (picture.width, picture.height) != (job.source_width, job.source_height):
        raise InvalidRequest(
            f"The image has {picture.width} x {picture.height} pixels, not the "
            f"{job.source_width} x {job.source_height} that the job names."
        )

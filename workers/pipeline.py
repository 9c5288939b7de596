"""The stages of a job on the executing thread: decode, load (after a rest), network, encode."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

from images.background_colour import background_of
from images.decode import decode
from images.encode import check_sides, check_writable, converts_colours, encode
from images.limits import Limits
from images.metadata.facts import NO_METADATA, Metadata
from images.picture import Picture
from images.sandbox.decoder import DecodingInterrupted
from jobs.errors import InvalidRequest, OutputTooLarge
from jobs.job import JobRequest, MetadataChoice
from workers.runtimes.base import Interruptible
from workers.stage_gate import Stage
from workers.upscale import Engine, upscale


class Stopped(Exception):
    """The job was cancelled or its lease was lost, so nothing is to be delivered."""


Decode = Callable[[bytes, int, int | None], Picture]
"""Decodes a file of at most so many pixels, or a frame of it, as `images.decode.decode`. If it is
Interruptible, stopping the run interrupts it."""


@runtime_checkable
class BeginsEarly(Protocol):
    """A `Decode` that can begin before it is called."""

    def begin(self, data: bytes, max_pixels: int, frame: int | None = None) -> None:
        """Decode a picture while the caller does something else, and then calls it with the same
        arguments."""

    def abandon(self, max_pixels: int) -> None:
        """Wait for a picture that was begun and not called for."""


ChooseEngine = Callable[[Picture], Engine | None]
"""Returns the engine for a decoded picture, None for plain resampling. May raise to stop."""

OnStage = Callable[[Stage], None]
"""Called before a stage begins. May wait."""

BetweenTiles = Callable[[float], Engine | None]
"""Called between two tiles, and when a tile was interrupted, with the completed part of the
network's work, from 0 to 1. Returns an engine to continue with, None for the same one."""


_KEPT: dict[MetadataChoice, Callable[[Picture], Metadata]] = {
    MetadataChoice.KEEP: lambda picture: picture.metadata,
    MetadataChoice.COPYRIGHT: lambda picture: picture.rights,
    MetadataChoice.NONE: lambda picture: NO_METADATA,
}


class Progress:
    """State that the executing thread and the event loop share."""

    def __init__(
        self, between_tiles: BetweenTiles | None = None, on_stage: OnStage | None = None
    ) -> None:
        self.part = 0.0
        """Completed part of the network's work, from 0 to 1."""
        self.suspended_ms = 0.0
        """How long the run was suspended between tiles, and before the first one."""
        self._between_tiles = between_tiles
        self._on_stage = on_stage
        self._stop = threading.Event()
        self._running: object = None

    @contextlib.contextmanager
    def running(self, work: object) -> Iterator[None]:
        """Let `stop` interrupt this decoder or network, if it is Interruptible."""
        self._running = work
        try:
            yield
        finally:
            self._running = None

    def stop(self) -> None:
        """Stop the run at its next check, and interrupt its decoding or its current tile."""
        first, work = not self._stop.is_set(), self._running
        self._stop.set()
        if first and work is not None and isinstance(work, Interruptible):
            work.interrupt()

    def enter(self, stage: Stage) -> None:
        """Begin a stage."""
        if self._on_stage is not None:
            since = time.perf_counter()
            self._on_stage(stage)
            self.suspended_ms += (time.perf_counter() - since) * 1e3

    def report(self, part: float) -> Engine | None:
        """Record the completed part; return an engine to continue with, None for the same one.

        Raises Stopped when `stop` was called.
        """
        self.part = part
        engine = None
        if self._between_tiles is not None and part < 1:
            since = time.perf_counter()
            engine = self._between_tiles(part)
            self.suspended_ms += (time.perf_counter() - since) * 1e3
        if engine is not None:
            self._running = engine.network
        self.check()
        return engine

    def check(self) -> None:
        """Raise Stopped when `stop` was called."""
        if self._stop.is_set():
            raise Stopped


@dataclass(frozen=True)
class PipelineResult:
    """An encoded picture, and the time that each stage took."""

    picture: bytes
    tiles: int
    stages_ms: dict[str, float]
    suspended_ms: float = 0.0
    """How long the run was suspended between tiles, and before the first; not part of any stage."""
    untouched: bool = False
    """Whether the pixels are the source's: nothing was run."""
    converted: bool = False
    """Whether the colours were converted, because they could not be kept."""


@dataclass
class _Stopwatch:
    laps: dict[str, float] = field(default_factory=dict)
    since: float = field(default_factory=time.perf_counter)

    def lap(self, stage: str, without_ms: float = 0.0) -> None:
        now = time.perf_counter()
        self.laps[stage] = (now - self.since) * 1e3 - without_ms
        self.since = now

    def skip(self) -> None:
        """Count the time since the last lap for no stage."""
        self.since = time.perf_counter()


def guard(job: JobRequest, limits: Limits) -> None:
    """Check a job against the worker's limits, before anything is planned for it.

    Raises OutputTooLarge, UnsupportedImage and InvalidRequest.
    """
    if job.output_width * job.output_height > limits.output_pixels:
        raise OutputTooLarge(
            f"The output would be {job.output_width} x {job.output_height} pixels; this worker "
            f"makes at most {limits.output_pixels} in all. Ask for a smaller scale.",
            max_pixels=limits.output_pixels,
        )
    check_writable(job.output_format)
    check_sides(job.output_format, job.output_height, job.output_width)
    if job.output_width < job.source_width or job.output_height < job.source_height:
        raise InvalidRequest("The output must not be smaller than the input.")


def run_pipeline(
    job: JobRequest,
    payload: bytes,
    limits: Limits,
    choose_engine: ChooseEngine,
    progress: Progress,
    decode: Decode = decode,
) -> PipelineResult:
    """Make the picture of a job that passed `guard`, with the engine chosen for it.

    Raises errors of `jobs.errors` for a fault of the job or its bytes, whatever `choose_engine`
    raises, and Stopped.
    """
    watch = _Stopwatch()
    picture = _decoded(payload, job.frame, limits, progress, decode)
    _check_size(job, picture)
    watch.lap("decode")
    engine = choose_engine(picture)
    watch.skip()
    if engine is not None and engine.load():
        watch.lap("load")
    progress.enter(Stage.ENLARGE)
    size = job.output_height, job.output_width
    with progress.running(None if engine is None else engine.network):
        larger = upscale(picture, *size, engine, progress.report, job.strength)
    del picture  # encoding needs its memory
    watch.lap("network", progress.suspended_ms)
    progress.enter(Stage.ENCODE)
    chosen = replace(larger.picture, metadata=_KEPT[job.metadata](larger.picture))
    background = background_of(job.background)
    data = encode(chosen, job.output_format, job.quality, job.lossless, background)
    converted = converts_colours(larger.picture, job.output_format, background)
    progress.report(1.0)
    watch.lap("encode")
    facts = progress.suspended_ms, larger.untouched, converted
    return PipelineResult(data, larger.tiles, watch.laps, *facts)


def _decoded(
    payload: bytes, frame: int | None, limits: Limits, progress: Progress, decode: Decode
) -> Picture:
    with progress.running(decode):
        progress.check()  # `stop` was perhaps called before there was something to interrupt
        try:
            picture = decode(payload, limits.source_pixels, frame)
        except DecodingInterrupted:
            raise Stopped from None
    progress.check()
    return picture


def _check_size(job: JobRequest, picture: Picture) -> None:
    if (picture.width, picture.height) != (job.source_width, job.source_height):
        raise InvalidRequest(
            f"The image has {picture.width} x {picture.height} pixels, not the "
            f"{job.source_width} x {job.source_height} that the job names."
        )

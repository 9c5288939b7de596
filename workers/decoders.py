"""How a worker decodes pictures: in the sandbox where there is one, with a second process for small
pictures that are decoded while a large one is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from images.decode import decode
from images.sandbox.decoder import SandboxedDecoder, decoding_seconds, supported
from workers.metrics import WorkerMetrics
from workers.pipeline import Decode
from workers.settings import WorkerSettings

DECODING_GRACE_S = 2.0
"""Time for the decoding of a picture whose job has no slack left: late pictures are served too."""

DecodeWithin = Callable[[float], Decode]
"""Returns how the picture of a job with so many seconds of slack is decoded."""


def _in_this_process(slack_s: float) -> Decode:
    del slack_s  # nothing bounds the time
    return decode


@dataclass(frozen=True)
class Decoders:
    """How pictures are decoded; by default in this process, without bounds."""

    first: DecodeWithin = _in_this_process
    beside: DecodeWithin = _in_this_process
    """The same for a job that runs beside another."""
    prepare: Callable[[], None] = lambda: None
    """Starts the process for such jobs, unless it runs: it takes half a second to load."""


@contextlib.contextmanager
def decoders_of(settings: WorkerSettings, metrics: WorkerMetrics) -> Iterator[Decoders]:
    """Yield a worker's decoders, and end their processes. The second one is started when it is
    first needed, and then kept."""
    if not settings.sandbox or not supported():
        yield Decoders()
        return
    first, second = (
        SandboxedDecoder(settings.max_source_pixels, metrics.decoder_ended) for _ in range(2)
    )
    most = settings.decode_seconds

    def within(decoder: SandboxedDecoder) -> DecodeWithin:
        return lambda slack_s: decoder.within(decoding_seconds(most, slack_s, DECODING_GRACE_S))

    first.start()
    with contextlib.closing(first), contextlib.closing(second):
        yield Decoders(within(first), within(second), second.start)

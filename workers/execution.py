"""One job from its bytes to an encoded picture, with every decision in between.

bind by the catalog -> decode -> bind by the picture -> run -> encode. A small picture is decoded
during the first of these. Workers, `anysr upscale` and
studies all run jobs through `execute`.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from images.decode import decode
from images.limits import Limits
from images.picture import Picture
from jobs.job import Claim, JobRequest, RunFacts
from scheduling.cost_model import CostModel
from scheduling.load import Load
from workers.binding import Binding
from workers.device_memory import fit_to_device
from workers.loaded_model import ModelsByName
from workers.memory import fit_to_memory, too_little_memory
from workers.pipeline import BeginsEarly, Decode, PipelineResult, Progress, guard, run_pipeline
from workers.upscale import Engine

log = logging.getLogger("anysr.workers.execution")

AHEAD_PIXELS = 1 << 14
"""A picture of at most so many pixels is decoded while its job reaches its thread and its rung is
chosen, which takes about as long. What a larger one takes is taken only once it is known to fit."""

OnBound = Callable[[Binding], None]
"""Called on the executing thread after each binding: by the catalog before decoding, when
`Binding.expectation` is None, and by the picture before the run. May raise to stop."""


@dataclass(frozen=True)
class Execution:
    """A finished job."""

    bound: Binding
    result: PipelineResult

    def facts(self, claim: Claim, run_ms: float) -> RunFacts:
        """Return the facts of the run for its caller; `run_ms` is measured from the claim."""
        option, engine = self.bound.option, self.bound.engine
        queue_ms = claim.claimed_ms - claim.submitted_ms
        return RunFacts(
            model=option.rung.model,
            width=option.rung.width,
            reason=self.bound.choice.decision.reason,
            predicted_ms=option.expected_ms,
            run_ms=run_ms,
            stages_ms={"queue": queue_ms, **self.result.stages_ms},
            expected_db=option.db,
            expected_db_range=self.bound.expected_range(option.db),
            strength=claim.job.strength if engine is not None and engine.takes_strength else 0.0,
            tiles=self.result.tiles,
            converted=self.result.converted,
        )


def _ignore(bound: Binding) -> None:
    """Do nothing."""


def execute(
    job: JobRequest,
    payload: bytes,
    models: ModelsByName,
    costs: CostModel,
    slack_ms: float,
    load: Load,
    limits: Limits,
    *,
    progress: Progress | None = None,
    on_bound: OnBound = _ignore,
    available_bytes: int | None = None,
    decode: Decode = decode,
) -> Execution:
    """Make the picture of a job with `slack_ms` left until its deadline, beside the `load`.

    Blocks until it is encoded. Tiles are smaller where the memory that is allowed or available to
    the run (None: unknown) is short. `decode` reads the picture; by default it does so in this
    process. Raises errors of `jobs.errors` for a job that cannot be run, Overloaded among them when
    memory runs out all the same, and `pipeline.Stopped` when `progress` is stopped.
    """
    with _decoded_or_abandoned(decode, limits):
        guard(job, limits)
        bound = Binding(job, models, costs, slack_ms, load)
        on_bound(bound)

        def fitting_engine() -> Engine | None:
            engine = fit_to_memory(job, payload, limits, bound.engine, available_bytes)
            return fit_to_device(job, engine, models)

        def choose_engine(picture: Picture) -> Engine | None:
            bound.refine(picture)
            on_bound(bound)
            return fitting if bound.engine is planned else fitting_engine()

        planned = bound.engine
        fitting = fitting_engine()  # refuses a large picture before it is decoded

        try:
            result = run_pipeline(
                job, payload, limits, choose_engine, progress or Progress(), decode
            )
        except MemoryError as error:
            log.warning("memory ran out: %s", error)
            raise too_little_memory() from error
        return Execution(bound, result)


def begin_decoding(decode: Decode, job: JobRequest, payload: bytes, limits: Limits) -> None:
    """Let a small picture be decoded before `execute` is called with the same `decode`, which must
    follow, if it can begin early. Does not block."""
    small = job.source_width * job.source_height <= AHEAD_PIXELS
    if small and isinstance(decode, BeginsEarly):
        decode.begin(payload, limits.source_pixels, job.frame)


@contextlib.contextmanager
def _decoded_or_abandoned(decode: Decode, limits: Limits) -> Iterator[None]:
    try:
        yield
    finally:
        if isinstance(decode, BeginsEarly):
            decode.abandon(limits.source_pixels)

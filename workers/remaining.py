"""What a run still takes, by the stage that it is in: the options to finish it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from jobs.job import JobRequest
from models.catalog import ModelEntry
from models.expectation import Expectation
from scheduling.cost_model import CostModel
from scheduling.options import Option, Options, options_left
from scheduling.stages import DECODE, encode_stage
from scheduling.work import Work
from workers.stage_gate import Stage, StageGate


@dataclass(frozen=True)
class LastBinding:
    """How a run was bound last."""

    costs: CostModel
    work: Work
    entry: ModelEntry | None
    """None for plain resampling."""
    expectation: Expectation | None
    """None before the picture is decoded."""


def remaining(
    job: JobRequest, bound: LastBinding, current: Option, gate: StageGate, part: float
) -> Options:
    """Return the options to finish a run that makes its picture by `current`, narrowest first.

    `part` is the part of the network's or resampling's work that is done, from 0 to 1. An encoded
    picture can be finished in one way only, and so can a resampled one.
    """
    costs, work = bound.costs, bound.work
    spent_ms = (time.perf_counter() - gate.since) * 1e3
    if gate.stage is Stage.ENCODE:
        encoding_ms = costs.predict_stage(encode_stage(work.output_format), work)
        return (_with_cost(current, costs, max(0.0, encoding_ms - spent_ms)),)
    if bound.entry is None:
        remaining_ms = costs.predict_remaining(current.rung, work, 1 - part)
        options: Options = (_with_cost(current, costs, remaining_ms),)
    else:
        width = current.rung.width
        options = options_left(job, bound.entry, width, costs, 1 - part, bound.expectation)
    if gate.stage is Stage.ENLARGE:
        return options
    decoding_ms = max(0.0, costs.predict_stage(DECODE, work) - spent_ms)
    return tuple(_with_cost(o, costs, o.expected_ms + decoding_ms) for o in options)


def _with_cost(option: Option, costs: CostModel, expected_ms: float) -> Option:
    return replace(option, expected_ms=expected_ms, safe_ms=costs.safe(expected_ms))

"""Predicted milliseconds of a job, from a calibration at warm-up and what is seen since.

A stage costs a fixed part plus parts in proportion to its input and output pixels. The network
has one such line per rung, resampling one, decoding one, encoding one per format. A network's
input pixels are those that it is shown, the halos of its tiles included. What is seen afterwards
moves one pace factor per kind of stage, so that a machine that becomes slower is followed at once
at all sizes; a single outlier moves it by a bounded step only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from scheduling.rungs import FLOOR, Rung
from scheduling.tiling import Tiling
from scheduling.work import Work

UNCALIBRATED_MS_PER_MEGAPIXEL = 2000.0
"""What is assumed of a stage that was never measured: slow, so that no promise is broken."""

FOLLOW = 0.3
"""How far one observation moves the pace."""

STEP = 2.0
"""One observation counts as at most this many times the pace so far, or one part of it."""


@dataclass(frozen=True)
class Line:
    """fixed + per_source * source megapixels + per_output * output megapixels, in ms."""

    fixed: float
    per_source: float
    per_output: float

    def at(self, work: Work) -> float:
        return (
            self.fixed
            + self.per_source * work.source_pixels / 1e6
            + self.per_output * work.output_pixels / 1e6
        )


UNCALIBRATED = Line(0.0, 0.0, UNCALIBRATED_MS_PER_MEGAPIXEL)


def fit(samples: Sequence[tuple[Work, float]]) -> Line:
    """Fit a line to measured (work, ms) pairs: least relative squares, no negative part.

    Raises ValueError without samples.
    """
    if not samples:
        raise ValueError("cannot fit a cost line to no samples")
    features = np.array([(1.0, w.source_pixels / 1e6, w.output_pixels / 1e6) for w, _ in samples])
    measured = np.array([max(ms, 1e-3) for _, ms in samples])
    used = [0, 1, 2]
    while True:
        solution, *_ = np.linalg.lstsq(
            features[:, used] / measured[:, None], np.ones(len(measured)), rcond=None
        )
        if len(used) == 1 or solution.min() >= 0:
            break
        used.pop(int(solution.argmin()))
    parts = [0.0, 0.0, 0.0]
    for index, value in zip(used, solution, strict=True):
        parts[index] = max(0.0, float(value))
    return Line(*parts)


DECODE = "decode"
NETWORK = "network"
"""The kind of a network's stages: all widths of all models keep one pace."""
FLOOR_STAGE = f"floor:{FLOOR.model}"
"""Of a kind of its own: how fast plain resampling runs tells nothing of the networks."""


def stage_of(rung: Rung) -> str:
    """Return the name of the stage that makes a rung's pixels."""
    return FLOOR_STAGE if rung == FLOOR else f"{NETWORK}:{rung.model}@{rung.width:g}"


def encode_stage(output_format: str) -> str:
    """Return the name of a format's encoding stage."""
    return f"encode:{output_format}"


MISSED, KEPT = 0.1 * 0.95, 0.1 * 0.05
"""How far the margin moves when a run took longer than was safe, and when it did not: it stands
still where one run of twenty does (adaptive conformal inference, Gibbs and Candes 2021, on the
logarithm)."""
LEAST_MARGIN, MOST_MARGIN = 1.01, 10.0


@dataclass
class CostModel:
    """Lines by stage name, the pace (actual / predicted) of each kind of stage, and by model how
    its pictures are cut, for that is part of what they cost."""

    lines: dict[str, Line] = field(default_factory=dict)
    pace: dict[str, float] = field(default_factory=dict)
    tilings: dict[str, Tiling] = field(default_factory=dict)
    margin: float = 1.3
    """By how much a whole run may exceed its prediction in nineteen of twenty cases."""

    def predict_stage(self, stage: str, work: Work) -> float:
        """Return the expected ms of one stage."""
        line = self.lines.get(stage, UNCALIBRATED)
        return line.at(_done_by(stage, work)) * self.pace.get(_kind(stage), 1.0)

    def predict(self, rung: Rung, work: Work) -> float:
        """Return the expected ms of a job, from claim to encoded picture."""
        stages = (DECODE, stage_of(rung), encode_stage(work.output_format))
        return sum(self.predict_stage(stage, work) for stage in stages)

    def predict_rest(self, rung: Rung, work: Work, left: float) -> float:
        """Return the expected ms of what is left of a job whose network has `left` of its work
        to do, a part from 0 to 1."""
        encoding = self.predict_stage(encode_stage(work.output_format), work)
        return left * self.predict_stage(stage_of(rung), work) + encoding

    def predict_safe(self, rung: Rung, work: Work) -> float:
        """Return the ms that nineteen of twenty such jobs stay below."""
        return self.predict(rung, work) * self.margin

    def observe_run(self, predicted_ms: float, actual_ms: float) -> None:
        """Take in a whole run, from claim to encoded picture, beside what `predict` had said."""
        missed = actual_ms > predicted_ms * self.margin
        margin = self.margin * math.exp(MISSED if missed else -KEPT)
        self.margin = min(max(margin, LEAST_MARGIN), MOST_MARGIN)

    def observe(self, stage: str, work: Work, actual_ms: float) -> None:
        """Take in one measured stage."""
        if stage not in self.lines:
            self.lines[stage] = Line(0.0, 0.0, actual_ms / max(work.output_pixels / 1e6, 1e-6))
            return
        kind = _kind(stage)
        pace = self.pace.get(kind, 1.0)
        seen = actual_ms / max(self.lines[stage].at(_done_by(stage, work)), 1e-3)
        bounded = min(max(seen, pace / STEP), pace * STEP)
        self.pace[kind] = pace + FOLLOW * (bounded - pace)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready form."""
        lines = {k: [v.fixed, v.per_source, v.per_output] for k, v in self.lines.items()}
        tilings = {k: asdict(v) for k, v in self.tilings.items()}
        return {
            "lines": lines,
            "pace": dict(self.pace),
            "tilings": tilings,
            "margin": self.margin,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CostModel:
        """Undo `to_dict`. Raises KeyError, TypeError, ValueError or AttributeError for data
        that it did not make."""
        lines = {k: Line(*v) for k, v in data["lines"].items()}
        tilings = {k: Tiling(**v) for k, v in data.get("tilings", {}).items()}
        return cls(lines, dict(data["pace"]), tilings, float(data.get("margin", cls.margin)))


def _kind(stage: str) -> str:
    return stage.partition(":")[0]


def _done_by(stage: str, work: Work) -> Work:
    return work.in_tiles() if _kind(stage) == NETWORK else work

"""Predicted milliseconds of a job, from a calibration at warm-up and what is seen since.

A stage costs a fixed part plus parts in proportion to its input and output pixels. The network
has one such line per rung, resampling one, decoding one, encoding one per format. A network's
input pixels are those that it is shown, the halos of its tiles included. A wider network never
costs less than a narrower one of the same model. What is seen afterwards moves one pace factor per
kind of stage, so that a machine that becomes slower is followed at once at all sizes; a single
outlier moves it by a bounded step only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scheduling.rungs import FLOOR, Rung
from scheduling.tiling import Tiling
from scheduling.work import Work

FloatArray = NDArray[np.float64]

UNCALIBRATED_MS_PER_MEGAPIXEL = 2000.0
"""What is assumed of a stage that was never measured: slow, so that no promise is broken."""

FOLLOW = 0.3
"""How far one observation moves the pace, once a few were seen. The first ones count as a mean, and
what was measured at the start as one of them, unless others disturbed that."""

RELATIVE = 0.1
MOST_RELATIVE = 4.0
"""How far one run moves how its model stands to the others: slower than the pace, which is of the
moment."""

STEP = 2.0
"""One observation counts as at most this many times the pace so far, or one part of it."""

FAR = 1.25
CHANGED = 3
"""So many observations in a row, all this factor above the pace or all below it, are no noise but
another machine: what was seen before them counts no more."""


@dataclass(frozen=True)
class Line:
    """fixed + per_source * source megapixels + per_output * output megapixels, in ms."""

    fixed: float
    per_source: float
    per_output: float
    disturbed: bool = field(default=False, compare=False)
    """Whether others used the machine while it was measured: it is then not kept for another
    start, and measured again."""

    def at(self, work: Work) -> float:
        return (
            self.fixed
            + self.per_source * work.source_pixels / 1e6
            + self.per_output * work.output_pixels / 1e6
        )


UNCALIBRATED = Line(0.0, 0.0, UNCALIBRATED_MS_PER_MEGAPIXEL)


Samples = Sequence[tuple[Work, float]]
"""Measured (work, ms) pairs."""


def fit(samples: Samples) -> Line:
    """Fit a line to samples: least relative squares, no negative part.

    Raises ValueError without samples.
    """
    [line] = fit_rising([samples])
    return line


def fit_rising(widths: Sequence[Samples]) -> list[Line]:
    """Fit a line to the samples of each width of a model, narrowest first, all at once: least
    relative squares, no negative part, and no part less than that of the width before.

    Raises ValueError when a width has no samples.
    """
    if not all(widths):
        raise ValueError("cannot fit a cost line to no samples")
    blocks = [_features(samples) for samples in widths]
    # Each width is the one before and what it costs more, in all three parts: so the unknowns of
    # a width are part of all that are wider.
    features = np.vstack(
        [
            np.hstack([block] * (number + 1) + [0 * block] * (len(blocks) - number - 1))
            for number, block in enumerate(blocks)
        ]
    )
    more = _least_squares(features, np.ones(len(features))).reshape(len(blocks), 3)
    return [Line(float(a), float(b), float(c)) for a, b, c in more.cumsum(axis=0)]


def _features(samples: Samples) -> FloatArray:
    """Return rows whose product with a line's parts is predicted over measured time, (n, 3)."""
    rows = [(1.0, work.source_pixels / 1e6, work.output_pixels / 1e6) for work, _ in samples]
    measured = [max(ms, 1e-3) for _, ms in samples]
    parts: FloatArray = np.array(rows) / np.array(measured)[:, None]
    return parts


def _least_squares(features: FloatArray, goal: FloatArray) -> FloatArray:
    """Return the x >= 0 with the least |features @ x - goal| (Lawson and Hanson 1974)."""
    length: FloatArray = np.linalg.norm(features, axis=0)
    length[length == 0] = 1.0
    columns = features / length
    found = np.zeros(columns.shape[1])
    used = np.zeros(columns.shape[1], bool)
    for _ in range(3 * columns.shape[1]):  # their own bound, which nothing sane comes near
        gain = np.where(used, 0.0, columns.T @ (goal - columns @ found))
        if gain.max() <= 1e-9:
            break
        used[gain.argmax()] = True
        found = _within(columns, goal, found, used)
    return found / length


def _within(
    columns: FloatArray, goal: FloatArray, found: FloatArray, used: NDArray[np.bool_]
) -> FloatArray:
    """Return the best x of the columns used, from `found` on only as far as none turns negative;
    one that reaches zero is used no more."""
    while used.any():
        best = np.zeros_like(found)
        best[used], *_ = np.linalg.lstsq(columns[:, used], goal, rcond=None)
        beyond = used & (best <= 0)
        if not beyond.any():
            return best
        steps = np.where(beyond, found / np.where(beyond, found - best, 1.0).clip(1e-300), np.inf)
        first = steps.argmin()
        found = np.where(used, found + steps[first] * (best - found), 0.0)
        used[first], found[first] = False, 0.0
    return np.zeros_like(found)


DECODE = "decode"
NETWORK = "network"
"""The kind of a network's stages: all widths of all models keep one pace."""
FLOOR_STAGE = f"floor:{FLOOR.model}"
"""Of a kind of its own: how fast plain resampling runs tells nothing of the networks."""


def stage_of(rung: Rung) -> str:
    """Return the name of the stage that makes a rung's pixels."""
    return FLOOR_STAGE if rung == FLOOR else f"{NETWORK}:{rung.model}@{rung.width:g}"


def model_stage(stage: str) -> str:
    """Return what the stages of all widths of one model have in common."""
    return stage.rpartition("@")[0] or stage


def encode_stage(output_format: str) -> str:
    """Return the name of a format's encoding stage."""
    return f"encode:{output_format}"


MISSED, KEPT = 0.1 * 0.98, 0.1 * 0.02
"""How far the margin moves when a run took longer than was safe, and when it did not: it stands
still where one run of fifty does (adaptive conformal inference, Gibbs and Candes 2021, on the
logarithm)."""
LEAST_MARGIN, MOST_MARGIN = 1.01, 10.0

LEAST_HANDLING_MS = 20.0
"""So much may be learnt from one observation: several times what it takes on a quiet machine."""


@dataclass
class _Seen:
    """What the pace of a kind of stage was learnt from."""

    count: int
    """Observations since it was last learnt anew."""
    far: int = 0
    """How many of the last lay far above it (or, negative, below it) in a row."""

    def gain(self, ratio: float) -> float:
        """Take in one more, which was `ratio` times the pace, and return how far that moves."""
        side = (ratio > FAR) - (ratio < 1 / FAR)
        self.far = side + (self.far if self.far * side > 0 else 0)
        if abs(self.far) >= CHANGED:
            self.count = self.far = 0
        self.count += 1
        return max(FOLLOW, 1 / self.count)


@dataclass
class CostModel:
    """Lines by stage name, the pace (actual / predicted) of each kind of stage, and by model how
    its pictures are cut, for that is part of what they cost."""

    lines: dict[str, Line] = field(default_factory=dict)
    pace: dict[str, float] = field(default_factory=dict)
    tilings: dict[str, Tiling] = field(default_factory=dict)
    margin: float = 1.2
    """By how much a whole run may exceed its prediction in forty-nine of fifty cases, `jitter_ms`
    more than it; see `safe`."""
    handling_ms: float = 0.0
    """What a run takes beside its stages: to bind it, to look at the picture, to tell the queue."""
    jitter_ms: float = 100.0
    """What others do with the cores holds up short runs as long as long ones. Of runs of 20 to 2000
    ms on two cores that were never free, nineteen of twenty were at most 36 to 143 ms late."""
    relative: dict[str, float] = field(default_factory=dict)
    """The pace of each model's network beside that of all networks: on a busy machine a small one,
    which waits for memory, slows down by more than a large one, which computes."""
    seen: dict[str, _Seen] = field(default_factory=dict, compare=False, repr=False)
    """Of each kind of stage, by this process alone."""

    @property
    def disturbed(self) -> set[str]:
        """The stages that are to be measured again, as others used the machine."""
        return {stage for stage, line in self.lines.items() if line.disturbed}

    def renew(self, lines: Mapping[str, Line]) -> None:
        """Take lines that were measured again. What was learnt beside the old ones of their kinds
        is forgotten, and the margin with it."""
        self.lines.update(lines)
        for kind in map(_kind, lines):
            self.pace.pop(kind, None)
            self.seen.pop(kind, None)
        for model in map(model_stage, lines):
            self.relative.pop(model, None)
        self.margin = type(self).margin

    def predict_stage(self, stage: str, work: Work) -> float:
        """Return the expected ms of one stage."""
        line = self.lines.get(stage, UNCALIBRATED)
        pace = self.pace.get(_kind(stage), 1.0) * self.relative.get(model_stage(stage), 1.0)
        return line.at(_done_by(stage, work)) * pace

    def predict(self, rung: Rung, work: Work) -> float:
        """Return the expected ms of a job, from claim to encoded picture."""
        stages = (DECODE, stage_of(rung), encode_stage(work.output_format))
        return self.handling_ms + sum(self.predict_stage(stage, work) for stage in stages)

    def predict_rest(self, rung: Rung, work: Work, left: float) -> float:
        """Return the expected ms of what is left of a job whose network has `left` of its work
        to do, a part from 0 to 1."""
        encoding = self.predict_stage(encode_stage(work.output_format), work)
        return left * self.predict_stage(stage_of(rung), work) + encoding

    def safe(self, expected_ms: float) -> float:
        """Return the ms that forty-nine of fifty runs stay below of which so many are expected."""
        return expected_ms + (self.margin - 1) * (expected_ms + self.jitter_ms)

    def observe_run(self, predicted_ms: float, actual_ms: float) -> None:
        """Take in a whole run, from claim to encoded picture, beside what `predict` had said."""
        missed = actual_ms > self.safe(predicted_ms)
        margin = self.margin * math.exp(MISSED if missed else -KEPT)
        self.margin = min(max(margin, LEAST_MARGIN), MOST_MARGIN)

    def observe_handling(self, actual_ms: float) -> None:
        """Take in what a run took beside its stages."""
        kind, known = "handling", self.handling_ms
        gain = self.seen.setdefault(kind, _Seen(0)).gain(actual_ms / max(known, 1e-3))
        bounded = min(actual_ms, max(STEP * known, LEAST_HANDLING_MS))
        self.handling_ms = max(0.0, known + gain * (bounded - known))

    def observe(self, stage: str, work: Work, actual_ms: float) -> None:
        """Take in one measured stage."""
        if stage not in self.lines:
            self.lines[stage] = Line(0.0, 0.0, actual_ms / max(work.output_pixels / 1e6, 1e-6))
            return
        kind = _kind(stage)
        pace = self.pace.get(kind, 1.0)
        seen = actual_ms / max(self.lines[stage].at(_done_by(stage, work)), 1e-3)
        if kind == NETWORK:
            seen /= self._learn_relative(model_stage(stage), seen / pace)
        bounded = min(max(seen, pace / STEP), pace * STEP)
        trusted = 0 if self.lines[stage].disturbed else 1
        gain = self.seen.setdefault(kind, _Seen(trusted)).gain(seen / pace)
        self.pace[kind] = pace + gain * (bounded - pace)

    def _learn_relative(self, model: str, ratio: float) -> float:
        """Learn how a model stands to all networks from a run that took `ratio` times what their
        pace alone foretold, and return how it stood before."""
        relative = self.relative.get(model, 1.0)
        apart = math.log(max(ratio, 1e-6) / relative)
        moved = relative * math.exp(RELATIVE * min(max(apart, -1.0), 1.0))
        self.relative[model] = min(max(moved, 1 / MOST_RELATIVE), MOST_RELATIVE)
        return relative

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready form."""
        lines = {k: [v.fixed, v.per_source, v.per_output] for k, v in self.lines.items()}
        tilings = {k: asdict(v) for k, v in self.tilings.items()}
        return {
            "lines": lines,
            "pace": dict(self.pace),
            "tilings": tilings,
            "margin": self.margin,
            "handling_ms": self.handling_ms,
            "relative": dict(self.relative),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CostModel:
        """Undo `to_dict`. Raises KeyError, TypeError, ValueError or AttributeError for data
        that it did not make."""
        lines = {k: Line(*v) for k, v in data["lines"].items()}
        tilings = {k: Tiling(**v) for k, v in data.get("tilings", {}).items()}
        margin, handling_ms = (
            float(data.get(name, getattr(cls, name))) for name in ("margin", "handling_ms")
        )
        relative = dict(data.get("relative", {}))
        return cls(lines, dict(data["pace"]), tilings, margin, handling_ms, relative=relative)


def _kind(stage: str) -> str:
    return stage.partition(":")[0]


def _done_by(stage: str, work: Work) -> Work:
    return work.in_tiles() if _kind(stage) == NETWORK else work

"""Predicted milliseconds of a job, from the calibration at warm-up and the runs observed since.

A stage costs a fixed part plus parts in proportion to its input and output pixels. The network
has one such line per rung, resampling one, decoding one, encoding one per format. A network's
input pixels include the halos of its tiles. A wider network never costs less than a narrower one
of the same model. Observed runs move two numbers per kind of stage, a slowdown and a delay, so
that the model follows a machine that becomes slower at once at all sizes; a single outlier moves
them by a bounded step only.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scheduling.rungs import FLOOR, Rung
from scheduling.tiling import Tiling
from scheduling.work import Work

FloatArray = NDArray[np.float64]

UNCALIBRATED_MS_PER_MEGAPIXEL = 2000.0
"""Assumed cost of a stage that was never measured: slow, so that no promise is broken."""

LEAST_GAIN = 0.3
"""Weight of one observation in the estimate, once there are a few. The first ones are averaged; the
calibration counts as one of them unless other processes disturbed it."""

SHORT_MS = 100.0
"""A run of this length moves slowdown and delay alike; a shorter one moves the delay more, a longer
one the slowdown."""
MOST_DELAY_RATIO = 3.0
"""Largest delay of a stage, as a multiple of its running time: a network that gives way to a busy
gateway still gets a quarter of a core."""
MOST_DELAY_MS = 500.0
LEAST_SLOWDOWN = 0.05

MOST_STEP = 2.0
"""Largest factor by which one observation may differ from the expected value, up or down; what
lies beyond is clipped."""

CHANGE_FACTOR = 1.25
CHANGE_RUNS = 3
"""If so many observations in a row are all this factor above the expected value, or all this factor
below it, the machine has changed: earlier observations no longer count."""


@dataclass(frozen=True)
class Line:
    """Cost in ms: fixed + per_source * source megapixels + per_output * output megapixels."""

    fixed: float
    per_source: float
    per_output: float
    disturbed: bool = field(default=False, compare=False)
    """Whether other processes used the machine during the measurement: the line is then not cached
    for the next start, and is measured again."""

    def at(self, work: Work) -> float:
        """Return the ms of this much work."""
        return (
            self.fixed
            + self.per_source * work.source_pixels / 1e6
            + self.per_output * work.output_pixels / 1e6
        )


UNCALIBRATED = Line(0.0, 0.0, UNCALIBRATED_MS_PER_MEGAPIXEL)

RETIRED_KEY = "pace"
"""Written in place of `slowdown` by an earlier version."""


class OutdatedCosts(ValueError):
    """Costs in the form of an earlier version."""

    def __init__(self) -> None:
        super().__init__(
            "the costs are in the form of an earlier version; measure them again with "
            "`anysr calibrate --output`"
        )


Samples = Sequence[tuple[Work, float]]
"""Measured (work, ms) pairs."""


def fit(samples: Samples) -> Line:
    """Fit a line to samples by least relative squares, with no negative part.

    Raises ValueError without samples.
    """
    [line] = fit_rising([samples])
    return line


def fit_rising(widths: Sequence[Samples]) -> list[Line]:
    """Fit the lines of all widths of a model at once, narrowest first, by least relative squares.
    No part is negative, and none is less than that of the next narrower width.

    Raises ValueError when a width has no samples.
    """
    if not all(widths):
        raise ValueError("cannot fit a cost line to no samples")
    blocks = [_features(samples) for samples in widths]
    # The unknowns are the increments from one width to the next, in all three parts, so each
    # width's features repeat in the columns of all narrower ones.
    features = np.vstack(
        [
            np.hstack([block] * (number + 1) + [0 * block] * (len(blocks) - number - 1))
            for number, block in enumerate(blocks)
        ]
    )
    more = _least_squares(features, np.ones(len(features))).reshape(len(blocks), 3)
    return [Line(float(a), float(b), float(c)) for a, b, c in more.cumsum(axis=0)]


def _features(samples: Samples) -> FloatArray:
    """Return (n, 3) rows; a row times a line's parts is predicted over measured time."""
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
    """Return the least-squares x over the used columns, moving from `found` only until a part would
    turn negative; that column is then no longer used."""
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
"""Kind of the networks' stages: all widths of all models share one slowdown."""
FLOOR_STAGE = f"floor:{FLOOR.model}"
"""A kind of its own, because the speed of plain resampling does not predict that of networks."""


@lru_cache(1024)
def stage_of(rung: Rung) -> str:
    """Return the name of the stage that computes a rung's pixels."""
    return FLOOR_STAGE if rung == FLOOR else f"{NETWORK}:{rung.key}"


def model_stage(stage: str) -> str:
    """Return a stage's name without its width: equal for all widths of one model."""
    return stage.rpartition("@")[0] or stage


def encode_stage(output_format: str) -> str:
    """Return the name of a format's encoding stage."""
    return f"encode:{output_format}"


RUNS = 100
"""Number of recent runs from which the margin is computed. The next run stays below the second
largest of their ratios in 98 of 100 cases (a conformal quantile, Vovk et al. 2005)."""
LEAST_MARGIN, MOST_MARGIN = 1.01, 10.0

LEAST_HANDLING_MS = 20.0
"""Largest handling time accepted from one observation while the estimate is small: several times
what it takes on a quiet machine."""


@dataclass
class _Seen:
    """Observations behind an estimate."""

    count: int
    """Observations since the machine last changed."""
    far: int = 0
    """Length of the current row of observations far above the estimate; negative: far below."""

    def gain(self, ratio: float) -> float:
        """Count an observation of `ratio` times the expected value; return its weight, 0 to 1."""
        side = (ratio > CHANGE_FACTOR) - (ratio < 1 / CHANGE_FACTOR)
        self.far = side + (self.far if self.far * side > 0 else 0)
        if abs(self.far) >= CHANGE_RUNS:
            self.count = self.far = 0
        self.count += 1
        return max(LEAST_GAIN, 1 / self.count)


def _no_runs() -> deque[float]:
    return deque(maxlen=RUNS)


def _no_loading(stage: str) -> float:  # noqa: ARG001 - every network is in memory
    return 0.0


@dataclass
class CostModel:
    """Cost lines by stage, and what was learnt since: a slowdown and a delay per kind of stage.

    A stage takes its line times the slowdown, plus the delay. On a busy machine short runs are
    delayed by as many ms as long ones, up to a few times their own length, so runs of 20 ms alone
    cannot predict how much longer a run of 500 ms takes. Tilings are part of the model because
    halos are part of the cost.

    Runs that have the machine to themselves and runs that share it are learnt apart: see `under`.
    """

    lines: dict[str, Line] = field(default_factory=dict)
    slowdown: dict[str, float] = field(default_factory=dict)
    """Running time over the calibrated one, by kind of stage; above 1 is slower."""
    tilings: dict[str, Tiling] = field(default_factory=dict)
    """How pictures are cut, by model."""
    margin: float = 1.2
    """Factor that forty-nine of fifty runs stay below, applied to the prediction plus `jitter_ms`;
    see `safe`."""
    handling_ms: float = 0.0
    """Time of a run outside its stages: binding, picture features, calls to the queue."""
    jitter_ms: float = 100.0
    """Length by which a run is extended before the margin applies: busy cores delay short runs as
    much as long ones. Of runs of 20 to 2000 ms on two cores that were never free, nineteen of
    twenty were at most 36 to 143 ms late."""
    delay: dict[str, float] = field(default_factory=dict)
    """In ms, by kind of stage."""
    seen: dict[str, _Seen] = field(default_factory=dict, compare=False, repr=False)
    """By kind of stage; only of this process."""
    needed: deque[float] = field(default_factory=_no_runs, compare=False, repr=False)
    """Margins that would have been enough for the last runs; only of this process."""
    loading: Callable[[str], float] = field(default=_no_loading, compare=False, repr=False)
    """Returns the ms until a stage's network is in memory, which is no part of its cost; only of
    this process."""
    contended: CostModel | None = None
    """What was learnt under contention; None while nothing was. Use `under` to read it: lines and
    tilings are those of this model."""

    def under(self, contention: bool) -> CostModel:
        """Return the costs of runs that share the machine, or of runs that do not.

        Until a run under contention was observed, both are equal.
        """
        if not contention:
            return self
        if self.contended is None:
            self.contended = replace(
                self,
                slowdown=dict(self.slowdown),
                delay=dict(self.delay),
                seen={},
                needed=_no_runs(),
            )
        self.contended.lines, self.contended.tilings = self.lines, self.tilings
        self.contended.loading = self.loading
        return self.contended

    @property
    def disturbed(self) -> set[str]:
        """The stages to measure again, because other processes used the machine."""
        return {stage for stage, line in self.lines.items() if line.disturbed}

    def renew(self, lines: Mapping[str, Line]) -> None:
        """Replace lines by newly measured ones. Forget what was learnt about their kinds of stage,
        and the margin."""
        self.lines.update(lines)
        for model in filter(None, (self, self.contended)):
            model._forget(lines)

    def _forget(self, stages: Iterable[str]) -> None:
        for stage in stages:
            for learnt in (self.slowdown, self.delay, self.seen):
                learnt.pop(_kind(stage), None)
        self.margin = type(self).margin
        self.needed.clear()

    def predict_stage(self, stage: str, work: Work) -> float:
        """Return the expected ms of one stage."""
        quiet_ms = self.lines.get(stage, UNCALIBRATED).at(_done_by(stage, work))
        return self.loading(stage) + self._slowed_ms(_kind(stage), quiet_ms)

    def _slowed_ms(self, kind: str, quiet_ms: float) -> float:
        """Return the expected ms of a stage whose calibrated cost is `quiet_ms`."""
        running_ms = self.slowdown.get(kind, 1.0) * quiet_ms
        return running_ms + min(self.delay.get(kind, 0.0), MOST_DELAY_RATIO * running_ms)

    def predict(self, rung: Rung, work: Work) -> float:
        """Return the expected ms of a job, from claim to encoded picture."""
        return self.around_ms(work) + self.predict_stage(stage_of(rung), work)

    def around_ms(self, work: Work) -> float:
        """Return the expected ms of a job around its network, which are equal for all networks."""
        coding = (DECODE, encode_stage(work.output_format))
        return self.handling_ms + sum(self.predict_stage(stage, work) for stage in coding)

    def predict_rest(self, rung: Rung, work: Work, left: float) -> float:
        """Return the expected ms to finish a job whose network has the part `left` of its work to
        do, from 0 to 1."""
        encoding = self.predict_stage(encode_stage(work.output_format), work)
        return left * self.predict_stage(stage_of(rung), work) + encoding

    def safe(self, expected_ms: float) -> float:
        """Return the ms that forty-nine of fifty runs of this expected length stay below."""
        return expected_ms + (self.margin - 1) * (expected_ms + self.jitter_ms)

    def observe_run(self, predicted_ms: float, actual_ms: float) -> None:
        """Update the margin from a whole run, claim to encoded picture, and its prediction."""
        if not self.needed:
            self.needed.extend([self.margin] * RUNS)
        self.needed.append(1 + (actual_ms - predicted_ms) / (predicted_ms + self.jitter_ms))
        _, second = heapq.nlargest(2, self.needed)
        self.margin = min(max(second, LEAST_MARGIN), MOST_MARGIN)

    def observe_handling(self, actual_ms: float) -> None:
        """Update `handling_ms` from the time that a run took outside its stages."""
        kind, known = "handling", self.handling_ms
        gain = self.seen.setdefault(kind, _Seen(0)).gain(actual_ms / max(known, 1e-3))
        bounded = min(actual_ms, max(MOST_STEP * known, LEAST_HANDLING_MS))
        self.handling_ms = max(0.0, known + gain * (bounded - known))

    def observe(self, stage: str, work: Work, actual_ms: float) -> None:
        """Update slowdown and delay from one measured stage; give a stage without line a line."""
        if stage not in self.lines:
            self.lines[stage] = Line(0.0, 0.0, actual_ms / max(work.output_pixels / 1e6, 1e-6))
            return
        kind = _kind(stage)
        quiet_ms = max(self.lines[stage].at(_done_by(stage, work)), 1e-3)
        expected_ms = self._slowed_ms(kind, quiet_ms)
        bounded_ms = min(max(actual_ms, expected_ms / MOST_STEP), expected_ms * MOST_STEP)
        trusted = 0 if self.lines[stage].disturbed else 1
        gain = self.seen.setdefault(kind, _Seen(trusted)).gain(actual_ms / expected_ms)
        moved_ms = gain * (bounded_ms - expected_ms)
        delay = self.delay.get(kind, 0.0)
        delayed_ms = max(moved_ms * SHORT_MS / (SHORT_MS + quiet_ms), -delay)
        self.delay[kind] = min(delay + delayed_ms, MOST_DELAY_MS)
        slowdown = self.slowdown.get(kind, 1.0) + (moved_ms - delayed_ms) / quiet_ms
        self.slowdown[kind] = max(slowdown, LEAST_SLOWDOWN)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready form."""
        lines = {k: [v.fixed, v.per_source, v.per_output] for k, v in self.lines.items()}
        tilings = {k: v.to_dict() for k, v in self.tilings.items()}
        contended = None if self.contended is None else self.contended._learnt()
        return {
            "lines": lines,
            "disturbed": sorted(self.disturbed),
            "tilings": tilings,
            **self._learnt(),
            "contended": contended,
        }

    def _learnt(self) -> dict[str, Any]:
        return {
            "slowdown": dict(self.slowdown),
            "margin": self.margin,
            "handling_ms": self.handling_ms,
            "delay": dict(self.delay),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CostModel:
        """Return the model that `to_dict` wrote.

        Raises OutdatedCosts for the form of an earlier version, and KeyError, TypeError, ValueError
        or AttributeError for anything else.
        """
        disturbed = set(data.get("disturbed", ()))
        lines = {k: replace(Line(*v), disturbed=k in disturbed) for k, v in data["lines"].items()}
        tilings = {k: Tiling.from_dict(v) for k, v in data.get("tilings", {}).items()}
        contended = data.get("contended")
        return cls(
            lines,
            tilings=tilings,
            **_learnt_from(data),
            contended=cls(**_learnt_from(contended)) if contended is not None else None,
        )


def _learnt_from(data: Mapping[str, Any]) -> dict[str, Any]:
    if RETIRED_KEY in data:
        raise OutdatedCosts
    return {
        "slowdown": dict(data["slowdown"]),
        "delay": dict(data.get("delay", {})),
        **{
            name: float(data.get(name, getattr(CostModel, name)))
            for name in ("margin", "handling_ms")
        },
    }


def _kind(stage: str) -> str:
    return stage.partition(":")[0]


def _done_by(stage: str, work: Work) -> Work:
    return work.in_tiles() if _kind(stage) == NETWORK else work

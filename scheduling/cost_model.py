"""Predicted milliseconds of a job, from a calibration at warm-up and what is seen since.

A stage costs a fixed part plus parts in proportion to its input and output pixels. The network
has one such line per rung, resampling one, decoding one, encoding one per format. A network's
input pixels are those that it is shown, the halos of its tiles included. A wider network never
costs less than a narrower one of the same model. What is seen afterwards moves two numbers per kind
of stage, a factor and a delay, so that a machine that becomes slower is followed at once at all
sizes; a single outlier moves them by a bounded step only.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
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

SHORT_MS = 100.0
"""A run as long as this one teaches of its pace as much as of its delay; a shorter one more of the
delay, a longer one more of the pace."""
HELD = 3.0
"""A stage is delayed for at most so many times as long as it runs: a network that gives way to a
busy gateway still gets a quarter of a core."""
MOST_DELAY_MS = 500.0
LEAST_PACE = 0.05

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
    return FLOOR_STAGE if rung == FLOOR else f"{NETWORK}:{rung.key}"


def model_stage(stage: str) -> str:
    """Return what the stages of all widths of one model have in common."""
    return stage.rpartition("@")[0] or stage


def encode_stage(output_format: str) -> str:
    """Return the name of a format's encoding stage."""
    return f"encode:{output_format}"


RUNS = 100
"""So many of the last runs say how far a run may be beyond its prediction. What the second of them
needed, the next one stays below in 98 of 100 cases (a conformal quantile, Vovk et al. 2005)."""
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


def _no_runs() -> deque[float]:
    return deque(maxlen=RUNS)


@dataclass
class CostModel:
    """Lines by stage name, the pace and the delay of each kind of stage, and by model how its
    pictures are cut, for that is part of what they cost.

    A stage takes its line times the pace, and the delay. On a machine that others use, short runs
    are held up for as many ms as long ones, up to a few times what they take: so runs of 20 ms say
    by themselves nothing of how much longer a run of 500 ms takes.

    What is learnt is learnt twice: of runs that have the machine to themselves, and, in a model of
    its own (`under`), of those that share it with others.
    """

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
    delay: dict[str, float] = field(default_factory=dict)
    """In ms, of each kind of stage."""
    seen: dict[str, _Seen] = field(default_factory=dict, compare=False, repr=False)
    """Of each kind of stage, by this process alone."""
    needed: deque[float] = field(default_factory=_no_runs, compare=False, repr=False)
    """The margins that would have been enough for the last runs, by this process alone."""
    contended: CostModel | None = None
    """What was learnt of runs under contention; None while nothing was. To be asked for by
    `under`: lines and tilings are the ones of this model."""

    def under(self, contention: bool) -> CostModel:
        """Return the costs of runs that share the machine with others, or of those that do not.
        Before any was seen under contention, it is taken to make no difference."""
        if not contention:
            return self
        if self.contended is None:
            pace, delay = dict(self.pace), dict(self.delay)
            self.contended = replace(self, pace=pace, delay=delay, seen={}, needed=_no_runs())
        self.contended.lines, self.contended.tilings = self.lines, self.tilings
        return self.contended

    @property
    def disturbed(self) -> set[str]:
        """The stages that are to be measured again, as others used the machine."""
        return {stage for stage, line in self.lines.items() if line.disturbed}

    def renew(self, lines: Mapping[str, Line]) -> None:
        """Take lines that were measured again. What was learnt beside the old ones of their kinds
        is forgotten, and the margin with it."""
        self.lines.update(lines)
        for model in filter(None, (self, self.contended)):
            model._forget(lines)

    def _forget(self, stages: Iterable[str]) -> None:
        for stage in stages:
            for learnt in (self.pace, self.delay, self.seen):
                learnt.pop(_kind(stage), None)
        self.margin = type(self).margin
        self.needed.clear()

    def predict_stage(self, stage: str, work: Work) -> float:
        """Return the expected ms of one stage."""
        quiet_ms = self.lines.get(stage, UNCALIBRATED).at(_done_by(stage, work))
        return self._amid_others(_kind(stage), quiet_ms)

    def _amid_others(self, kind: str, quiet_ms: float) -> float:
        """Return what a stage takes that takes `quiet_ms` on a quiet machine."""
        running_ms = self.pace.get(kind, 1.0) * quiet_ms
        return running_ms + min(self.delay.get(kind, 0.0), HELD * running_ms)

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
        if not self.needed:
            self.needed.extend([self.margin] * RUNS)
        self.needed.append(1 + (actual_ms - predicted_ms) / (predicted_ms + self.jitter_ms))
        _, second = heapq.nlargest(2, self.needed)
        self.margin = min(max(second, LEAST_MARGIN), MOST_MARGIN)

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
        quiet_ms = max(self.lines[stage].at(_done_by(stage, work)), 1e-3)
        expected_ms = self._amid_others(kind, quiet_ms)
        bounded_ms = min(max(actual_ms, expected_ms / STEP), expected_ms * STEP)
        trusted = 0 if self.lines[stage].disturbed else 1
        gain = self.seen.setdefault(kind, _Seen(trusted)).gain(actual_ms / expected_ms)
        moved_ms = gain * (bounded_ms - expected_ms)
        delay = self.delay.get(kind, 0.0)
        delayed_ms = max(moved_ms * SHORT_MS / (SHORT_MS + quiet_ms), -delay)
        self.delay[kind] = min(delay + delayed_ms, MOST_DELAY_MS)
        pace = self.pace.get(kind, 1.0) + (moved_ms - delayed_ms) / quiet_ms
        self.pace[kind] = max(pace, LEAST_PACE)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready form."""
        lines = {k: [v.fixed, v.per_source, v.per_output] for k, v in self.lines.items()}
        tilings = {k: asdict(v) for k, v in self.tilings.items()}
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
            "pace": dict(self.pace),
            "margin": self.margin,
            "handling_ms": self.handling_ms,
            "delay": dict(self.delay),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CostModel:
        """Undo `to_dict`. Raises KeyError, TypeError, ValueError or AttributeError for data
        that it did not make."""
        disturbed = set(data.get("disturbed", ()))
        lines = {k: replace(Line(*v), disturbed=k in disturbed) for k, v in data["lines"].items()}
        tilings = {k: Tiling(**v) for k, v in data.get("tilings", {}).items()}
        contended = data.get("contended")
        return cls(
            lines,
            tilings=tilings,
            **_learnt_from(data),
            contended=cls(**_learnt_from(contended)) if contended is not None else None,
        )


def _learnt_from(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "pace": dict(data["pace"]),
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

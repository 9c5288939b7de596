"""Predicted milliseconds of a job, from the calibration at warm-up and the runs observed since.

Each stage of a job (`scheduling.stages`) has a line: a fixed part, and parts in proportion to its
input and output pixels, and to the bytes of the source's file (`scheduling.cost_line`). The network
has one line per rung, resampling one, decoding and encoding one per format. A network's input
pixels include the halos of its tiles. A wider network never costs less than a narrower one of the
same model (`scheduling.line_fit`).
Observed runs move a slowdown and a delay per kind of stage (`scheduling.slowdown`), and the margin
on the whole prediction (`scheduling.margin`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from scheduling.cost_line import UNCALIBRATED, Line
from scheduling.margin import RUNS, margin_over, no_runs
from scheduling.rungs import Rung
from scheduling.slowdown import MOST_STEP, Observations, moved, slowed_ms
from scheduling.stages import DECODE, decode_stage, encode_stage, kind_of, stage_of, work_in
from scheduling.tiling import Tiling
from scheduling.work import Work

RETIRED_KEY = "pace"
"""Written in place of `slowdown` by an earlier version."""


class OutdatedCosts(ValueError):
    """Costs in the form of an earlier version."""

    def __init__(self) -> None:
        super().__init__(
            "the costs are in the form of an earlier version; measure them again with "
            "`anysr calibrate --output`"
        )


LEAST_HANDLING_BOUND_MS = 20.0
"""One observation of the handling time is bounded by the estimate so far, but by no less than this:
several times what handling takes on a quiet machine."""


def _no_loading(stage: str) -> float:  # noqa: ARG001 - every network is in memory
    return 0.0


@dataclass
class CostModel:
    """Cost lines by stage, and what was learnt since: a slowdown and a delay per kind of stage.

    A stage takes its line times the slowdown, plus the delay. Tilings are part of the model because
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
    seen: dict[str, Observations] = field(default_factory=dict, compare=False, repr=False)
    """By kind of stage; only of this process."""
    needed: deque[float] = field(default_factory=no_runs, compare=False, repr=False)
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
                needed=no_runs(),
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
                learnt.pop(kind_of(stage), None)
        self.margin = type(self).margin
        self.needed.clear()

    def predict_stage(self, stage: str, work: Work) -> float:
        """Return the expected ms of one stage."""
        quiet_ms = (self._line(stage, work) or UNCALIBRATED).at(work_in(stage, work))
        kind = kind_of(stage)
        slowdown, delay = self.slowdown.get(kind, 1.0), self.delay.get(kind, 0.0)
        return self.loading(stage) + slowed_ms(quiet_ms, slowdown, delay)

    def _line(self, stage: str, work: Work) -> Line | None:
        """Return the line of a stage; of decoding that of the source's format, where it has one."""
        own = decode_stage(work.source_format) if stage == DECODE else stage
        return self.lines.get(own) or self.lines.get(stage)

    def predict(self, rung: Rung, work: Work) -> float:
        """Return the expected ms of a job, from claim to encoded picture."""
        return self.around_ms(work) + self.predict_stage(stage_of(rung), work)

    def around_ms(self, work: Work) -> float:
        """Return the expected ms of a job around its network, which are equal for all networks."""
        coding = (DECODE, encode_stage(work.output_format))
        return self.handling_ms + sum(self.predict_stage(stage, work) for stage in coding)

    def predict_remaining(self, rung: Rung, work: Work, left: float) -> float:
        """Return the expected ms to finish a job whose network has the part `left` of its work to
        do, from 0 to 1."""
        encoding = self.predict_stage(encode_stage(work.output_format), work)
        return left * self.predict_stage(stage_of(rung), work) + encoding

    def safe(self, expected_ms: float) -> float:
        """Return the ms that forty-nine of fifty runs of this expected length stay below."""
        return expected_ms + (self.margin - 1) * (expected_ms + self.jitter_ms)

    def expected_within(self, safe_ms: float) -> float:
        """Return the longest expected ms of a run that `safe` keeps within `safe_ms`."""
        return max(0.0, (safe_ms - (self.margin - 1) * self.jitter_ms) / self.margin)

    def observe_run(self, predicted_ms: float, actual_ms: float) -> None:
        """Update the margin from a whole run, claim to encoded picture, and its prediction."""
        if not self.needed:
            self.needed.extend([self.margin] * RUNS)
        self.needed.append(1 + (actual_ms - predicted_ms) / (predicted_ms + self.jitter_ms))
        self.margin = margin_over(self.needed)

    def observe_handling(self, actual_ms: float) -> None:
        """Update `handling_ms` from the time that a run took outside its stages."""
        kind, known = "handling", self.handling_ms
        gain = self.seen.setdefault(kind, Observations(0)).gain(actual_ms / max(known, 1e-3))
        bounded = min(actual_ms, max(MOST_STEP * known, LEAST_HANDLING_BOUND_MS))
        self.handling_ms = max(0.0, known + gain * (bounded - known))

    def observe(self, stage: str, work: Work, actual_ms: float) -> None:
        """Update slowdown and delay from one measured stage; give a stage without line a line."""
        line = self._line(stage, work)
        if line is None:
            self.lines[stage] = Line(0.0, 0.0, actual_ms / max(work.output_pixels / 1e6, 1e-6))
            return
        kind = kind_of(stage)
        quiet_ms = max(line.at(work_in(stage, work)), 1e-3)
        trusted = 0 if line.disturbed else 1
        known = self.slowdown.get(kind, 1.0), self.delay.get(kind, 0.0)
        ratio = actual_ms / slowed_ms(quiet_ms, *known)
        gain = self.seen.setdefault(kind, Observations(trusted)).gain(ratio)
        self.slowdown[kind], self.delay[kind] = moved(*known, quiet_ms, actual_ms, gain)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready form."""
        lines = {k: list(v.parts) for k, v in self.lines.items()}
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

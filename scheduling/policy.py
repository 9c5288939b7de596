"""What is decided, at the gateway and at the claim: facts in, decision and reason out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobs.job import OnMiss, Reason
from scheduling.cost_model import CostModel
from scheduling.rungs import FLOOR, Rung
from scheduling.work import Work


@dataclass(frozen=True)
class Decision:
    """What to run, what it will cost, and why."""

    rung: Rung
    predicted_ms: float
    reason: Reason


@dataclass(frozen=True)
class Admission:
    """Whether a request can be met on an idle service, and the cheapest way to meet it."""

    feasible: bool
    smallest_ms: float
    """The smallest budget that could be met."""


def admit(
    rungs: Sequence[Rung],
    costs: CostModel,
    work: Work,
    budget_ms: float,
    pinned: Rung | None = None,
    on_miss: OnMiss = OnMiss.DEGRADE,
    overhead_ms: float = 0.0,
) -> Admission:
    """Compare a budget with the cheapest rung that the caller accepts.

    A pinned width, or on_miss=reject, asks for a network; otherwise resampling counts too.
    """
    smallest = overhead_ms + min(costs.predict(r, work) for r in _accepted(rungs, pinned, on_miss))
    return Admission(feasible=budget_ms >= smallest, smallest_ms=smallest)


def bind(
    rungs: Sequence[Rung],
    costs: CostModel,
    work: Work,
    slack_ms: float,
    pinned: Rung | None = None,
    on_miss: OnMiss = OnMiss.DEGRADE,
) -> Decision | None:
    """Choose the widest rung whose predicted cost fits the slack that is left.

    `rungs` are narrowest first. When none fits: None for on_miss=reject, else the cheapest
    rung that the caller accepts, late or not.
    """
    accepted = _accepted(rungs, pinned, on_miss)
    for rung in reversed(accepted):
        predicted = costs.predict(rung, work)
        if predicted <= slack_ms:
            return Decision(rung, predicted, _reason(rung, rungs, pinned))
    if on_miss is OnMiss.REJECT:
        return None
    cheapest = min(accepted, key=lambda rung: costs.predict(rung, work))
    return Decision(cheapest, costs.predict(cheapest, work), _reason(cheapest, rungs, pinned))


def _accepted(rungs: Sequence[Rung], pinned: Rung | None, on_miss: OnMiss) -> Sequence[Rung]:
    if pinned is not None:
        return [pinned]
    return list(rungs) if on_miss is OnMiss.REJECT else [FLOOR, *rungs]


def _reason(rung: Rung, rungs: Sequence[Rung], pinned: Rung | None) -> Reason:
    if pinned is not None:
        return Reason.PINNED
    if rung == FLOOR:
        return Reason.FLOOR
    return Reason.WIDEST if rung == rungs[-1] else Reason.SLACK

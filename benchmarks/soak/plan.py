"""How long a run lasts, and when it rests."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

RESULT_TTL_S, JOB_TTL_S, CACHE_S = 30, 60, 45
"""Settings of the service: everything that expires does so within a rest."""
QUARTERS = 4


class Phase(StrEnum):
    """What a moment of a run belongs to."""

    LOAD = "load"
    REST = "rest"
    """Nothing is asked of the service, and what it keeps expires."""
    SETTLED = "settled"
    """The end of a rest: what stands now stands for good."""


@dataclass(frozen=True)
class Plan:
    """A run of four quarters, each of which ends with a rest."""

    minutes: float
    seed: int = 1
    cores: float = 0.25
    """Processor time of the service, in cores, that its callers cause."""
    period_s: float = 10.0
    """Between samples."""
    rest_s: float = 150.0
    """Length of a rest: more than anything lasts that expires, and the time to notice it."""

    def __post_init__(self) -> None:
        """Raise ValueError where the rests leave no time."""
        if self.quarter_s <= self.rest_s:
            raise ValueError(
                f"each quarter ends with a rest of {self.rest_s:g} s, so that a run lasts more "
                f"than {QUARTERS * self.rest_s / 60:g} minutes"
            )

    @property
    def settled_s(self) -> float:
        """Length of the end of a rest."""
        return self.rest_s / 5

    @property
    def seconds(self) -> float:
        """Length of the run."""
        return 60.0 * self.minutes

    @property
    def quarter_s(self) -> float:
        """Length of a quarter, with its rest."""
        return self.seconds / QUARTERS

    def quarter_at(self, at_s: float) -> int:
        """Return the quarter of a moment, from 0."""
        return min(QUARTERS - 1, int(at_s // self.quarter_s))

    def phase_at(self, at_s: float) -> Phase:
        """Return what a moment belongs to, in seconds since the start."""
        left_s = (self.quarter_at(at_s) + 1) * self.quarter_s - at_s
        if left_s > self.rest_s:
            return Phase.LOAD
        return Phase.REST if left_s > self.settled_s else Phase.SETTLED

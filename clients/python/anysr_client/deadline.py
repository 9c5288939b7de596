"""Deadlines: the point in time by which a caller wants an answer."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Deadline:
    """A point of `time.monotonic()`, in seconds. Several calls can share one."""

    at_s: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """Return the deadline that is `seconds` away."""
        return cls(time.monotonic() + seconds)

    def left_s(self) -> float:
        """Return the seconds that remain; negative once it has passed."""
        return self.at_s - time.monotonic()


When = float | Deadline | None
"""How callers give a deadline: seconds from now, a point in time, or none."""


def deadline_of(when: When) -> Deadline | None:
    """Return a caller's deadline, counted from now."""
    if when is None or isinstance(when, Deadline):
        return when
    return Deadline.after(when)

"""Minimum, mean and maximum of a figure over the workers that report it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Minimum, mean and maximum of a figure."""

    least: float
    mean: float
    most: float


def spread(values: Iterable[float | None]) -> Spread | None:
    """Return the spread of the values that are not None; None if there are none."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return Spread(min(known), sum(known) / len(known), max(known))

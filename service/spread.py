"""A figure over all workers that report it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Least, mean and most of a figure over the workers that report it."""

    least: float
    mean: float
    most: float


def spread(values: Iterable[float | None]) -> Spread | None:
    """Return the spread of what is known; None when nothing is."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return Spread(min(known), sum(known) / len(known), max(known))

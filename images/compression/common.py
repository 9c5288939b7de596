"""From an encoder's index to a quality."""

from __future__ import annotations

import bisect
from collections.abc import Sequence


def interpolate(table: Sequence[tuple[float, float]], value: float) -> float:
    """Return the second column's number at a value of the first, ascending, column: linear between
    rows, and the nearest row's beyond them."""
    place = bisect.bisect_left(table, value, key=lambda row: row[0])
    if place == 0:
        return table[0][1]
    if place == len(table):
        return table[-1][1]
    (low, first), (high, last) = table[place - 1 : place + 1]
    return first + (last - first) * (value - low) / (high - low)

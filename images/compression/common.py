"""What the readers of all formats share: their bounds, and the way from an index to a quality."""

from __future__ import annotations

import bisect
from collections.abc import Sequence

MAX_PARTS = 4096
"""Segments of a JPEG, chunks of a WebP, boxes, items or units of an AVIF that are looked at. Real
files have tens, or as many as tiles; a hostile one could have millions."""


class Unread(Exception):
    """The header is damaged, or of a kind that is not understood."""


def interpolate(table: Sequence[tuple[float, float]], value: float) -> float:
    """Return the second column's number at a value of the first, which grows; on straight lines
    between the rows, and the nearest row's beyond them."""
    place = bisect.bisect_left(table, value, key=lambda row: row[0])
    if place == 0:
        return table[0][1]
    if place == len(table):
        return table[-1][1]
    (low, first), (high, last) = table[place - 1 : place + 1]
    return first + (last - first) * (value - low) / (high - low)

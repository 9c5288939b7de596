"""Mean quality by scale and strength, interpolated between measurements: that of plain resampling,
and the gain of networks over it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from functools import lru_cache

from models.strength import strength_of_quality

QUALITY_DATASET = "B100"
"""The data set behind `expected_db`: natural photographs. With the suffix `-jpeg75` the inputs are
JPEGs of quality 75."""


Curve = tuple[tuple[float, ...], tuple[float, ...]]
"""Abscissas, ascending, and the values measured there."""


def curve_of(points: Iterable[tuple[float, float]]) -> Curve:
    """Return the curve through points (abscissa, value), in any order."""
    places, values = zip(*sorted(points), strict=True)
    return places, values


RESAMPLED_DB = curve_of({
    1.5: 32.78, 2.0: 29.93, 2.5: 28.41, 3.0: 27.41, 3.5: 26.68, 4.0: 26.13, 6.0: 24.68, 8.0: 23.79,
}.items())  # fmt: skip
"""PSNR-Y of plain resampling by scale: `images.floor` on the same pictures. What networks gain
over it changes little from scale to scale, so between measured scales the gain is interpolated."""

COMPRESSED_LOSS_DB = curve_of({2.0: 1.27, 3.0: 0.82}.items())
COMPRESSED_STRENGTH = strength_of_quality(75)
"""Loss of plain resampling when the same pictures are JPEGs of quality 75, in dB by scale."""


@lru_cache(256)
def resampled_db(scale: float, strength: float = 0.0) -> float:
    """Return the mean PSNR-Y in dB of plain resampling at a scale, for pictures damaged to
    `strength`: interpolated between the measured scales and strengths, constant beyond them."""
    damaged = min(max(strength / COMPRESSED_STRENGTH, 0.0), 1.0)
    return interpolated(RESAMPLED_DB, scale) - damaged * interpolated(COMPRESSED_LOSS_DB, scale)


def interpolated(curve: Curve, at: float) -> float:
    """Return a curve's value, constant beyond its ends. In plain Python, because a decision needs
    dozens of single values and numpy takes ten times as long for each."""
    places, values = curve
    after = bisect_right(places, at)
    if after == 0:
        return values[0]
    if after == len(places):
        return values[-1]
    part = (at - places[after - 1]) / (places[after] - places[after - 1])
    return values[after - 1] + part * (values[after] - values[after - 1])


def between(curves: Mapping[float, Curve], scale: float, strength: float) -> float:
    """Return the value of curves by strength at a scale and a strength, constant beyond both."""
    values = ((measured, interpolated(curve, scale)) for measured, curve in curves.items())
    return interpolated(curve_of(values), strength)


def strength_of(dataset: str) -> float | None:
    """Return the strength of a data set's damage; None for sets that do not count as quality."""
    name, _, quality = dataset.partition("-jpeg")
    if name != QUALITY_DATASET:
        return None
    return strength_of_quality(int(quality)) if quality else 0.0

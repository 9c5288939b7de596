"""Cost lines fitted to measured times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scheduling.cost_line import Line
from scheduling.work import Work

FloatArray = NDArray[np.float64]

Samples = Sequence[tuple[Work, float]]
"""Measured (work, ms) pairs."""


def fit(samples: Samples) -> Line:
    """Fit a line to samples by least relative squares, with no negative part.

    Raises ValueError without samples.
    """
    [line] = fit_rising([samples])
    return line


def fit_rising(widths: Sequence[Samples]) -> list[Line]:
    """Fit the lines of all widths of a model at once, narrowest first, by least relative squares.
    No part is negative, and none is less than that of the next narrower width.

    Raises ValueError when a width has no samples.
    """
    if not all(widths):
        raise ValueError("cannot fit a cost line to no samples")
    blocks = [_features(samples) for samples in widths]
    # The unknowns are the increments from one width to the next, in all parts, so each
    # width's features repeat in the columns of all narrower ones.
    features = np.vstack(
        [
            np.hstack([block] * (number + 1) + [0 * block] * (len(blocks) - number - 1))
            for number, block in enumerate(blocks)
        ]
    )
    more = _least_squares(features, np.ones(len(features))).reshape(len(blocks), -1)
    return [Line(float(a), float(b), float(c), float(d)) for a, b, c, d in more.cumsum(axis=0)]


def _features(samples: Samples) -> FloatArray:
    """Return (n, 4) rows; a row times a line's parts is predicted over measured time."""
    rows = [
        (1.0, work.source_pixels / 1e6, work.output_pixels / 1e6, work.source_bytes / 1e6)
        for work, _ in samples
    ]
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
    """Return the least-squares x over the used columns, moving from `found` only until a part would
    turn negative; that column is then no longer used."""
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

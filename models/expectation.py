"""The expected quality of an upscaled picture, predicted from features of the input.

The catalog has the mean over the photographs of one data set. A picture of sky comes out 10 dB
better than that, one of foliage 5 dB worse, whatever network runs. So two numbers are predicted by
linear regression on a picture's `Features`: the PSNR-Y of plain resampling, and the part of a
network's mean gain over it that this picture allows. The gain itself is the catalog's, so new
networks and new weights need no new fit.

The coefficients are fitted to photographs by `python -m studies.expected_quality`. Needs numpy
alone.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from models.catalog import ModelEntry

Array = NDArray[np.float64]

COEFFICIENTS = Path(__file__).with_name("expectation.json")

BANDS = 9
"""Bands of spatial frequency in `Features`."""

LEAST_DB, MOST_DB = 10.0, 50.0
"""Bounds of an expectation in dB: flat colours would come out without any error."""

MOST_UNSEEN = 4.0
"""Largest expected ratio of mean squares between the detail that the larger picture adds and the
detail that this one has: noise at x2 comes near it. So flat colours are expected to stay flat."""

LEAST_GAIN, MOST_GAIN = 0.1, 2.0
"""Bounds of a picture's gain as a multiple of a network's mean gain; one in twenty of the measured
photographs lies beyond."""

LEAST_SCALE, MOST_SCALE = 1.3, 8.0
"""The range of fitted scales; beyond it the nearest one counts."""


@dataclass(frozen=True)
class Features:
    """Features of an input picture, measured on its luma (16 to 235)."""

    bands: tuple[float, ...]
    """Energy in each band of spatial frequency, lowest first: log10 of the mean square of a pixel;
    `BANDS` of them."""
    blockiness: float
    """Log of the steps between neighbours at every eighth column, where JPEG's blocks meet, over
    those elsewhere; 0 for none."""
    sparsity: float
    """How evenly details are spread: log10 of the squared mean of their magnitude over its mean
    square; -0.2 for noise, less for edges between smooth areas."""


@dataclass(frozen=True)
class Expectation:
    """The expected PSNR-Y in dB of one picture at one scale and strength."""

    scale: float
    strength: float
    resampled_db: float
    """PSNR-Y of plain resampling."""
    gain: float
    """The gain over it, as a multiple of a network's mean gain, from `LEAST_GAIN` to
    `MOST_GAIN`."""
    below_db: float
    above_db: float
    """Four of five pictures lie between `below_db` under and `above_db` over the expectation."""

    def db(self, entry: ModelEntry, width: float) -> float | None:
        """Return the expected PSNR-Y in dB of a width of a model; None if it was not measured.
        A width that is better in the mean is never expected to be worse."""
        mean = entry.gain_db(width, self.scale, self.strength)
        return None if mean is None else _bounded(self.resampled_db + self.gain * mean)

    def range(self, db: float | None) -> tuple[float, float] | None:
        """Return the interval in dB that holds four of five pictures whose expectation is `db`;
        None for None."""
        if db is None:
            return None
        return round(db - self.below_db, 3), round(db + self.above_db, 3)


class Coefficients(BaseModel):
    """The fitted weights of `terms`, and the distribution of the errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    resampled: tuple[float, ...]
    gain: tuple[float, ...]
    spread: tuple[float, ...]
    """Log of the error's magnitude by `spread_terms`."""
    below: float
    above: float
    """The ends of the interval, in units of that magnitude."""


@lru_cache(1)
def shipped() -> Coefficients:
    """Return the coefficients that come with the project."""
    return Coefficients(**json.loads(COEFFICIENTS.read_text()))


def expectation_of(
    features: Features, scale: float, strength: float, by: Coefficients | None = None
) -> Expectation:
    """Return the expectation for a picture at `scale`, damaged to `strength` from 0 to 1."""
    by = by or shipped()
    given = terms(features, scale, strength)
    resampled_db = _bounded(max(float(given @ by.resampled), _least_db(features)))
    spread = math.exp(float(spread_terms(resampled_db, scale, strength) @ by.spread))
    return Expectation(
        scale,
        strength,
        resampled_db,
        float(np.clip(given @ by.gain, LEAST_GAIN, MOST_GAIN)),
        below_db=round(by.below * spread, 2),
        above_db=round(by.above * spread, 2),
    )


def terms(features: Features, scale: float, strength: float) -> Array:
    """Return the regressors: the features, alone and times scale and strength."""
    octaves = _octaves(scale)
    bands = np.array((1.0, *features.bands))
    damage = features.blockiness * strength
    linear = np.array((*bands, features.blockiness, damage, features.sparsity))
    damaged = strength * np.concatenate((bands, octaves * bands, [strength]))
    return np.concatenate((linear, octaves * linear, octaves**2 * bands, damaged))


def spread_terms(resampled_db: float, scale: float, strength: float) -> Array:
    """Return the regressors of the error's magnitude."""
    return np.array((1.0, _octaves(scale), strength, (resampled_db - 30.0) / 10.0))


def _octaves(scale: float) -> float:
    """Return log2 of a scale, 0 for x2."""
    return math.log2(min(max(scale, LEAST_SCALE), MOST_SCALE)) - 1.0


def _least_db(features: Features) -> float:
    seen = sum(10**band for band in features.bands)
    return 10 * math.log10(255**2 / (MOST_UNSEEN * seen))


def _bounded(db: float) -> float:
    return round(min(max(db, LEAST_DB), MOST_DB), 3)

"""The range of a graph's numbers: the one with which its output, shrunk again, is the picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from models.adapters.record import Adapter, Colours
from models.adapters.values import FloatArray, luma_of
from models.probing.refusal import NotServable

Enlarge = Callable[[Adapter, FloatArray], FloatArray]
"""An image [1, 3, H, W] in [0, 1] at the graph's own scale, run as an adapter says."""

RANGES = (1.0, 255.0)
BETTER_DB = 1.0
"""Least gain for which numbers other than from 0 to 1 are taken."""
LEAST_DB = 18.0
"""An upscaler's output, shrunk again, is nearer to its input than that, even one that sharpens or
draws. Wrong ranges are at 5 to 12 dB."""
BORDER = 8
"""Input pixels at the edge that are not compared: zero padding changes them."""


@dataclass(frozen=True)
class Numbers:
    """The chosen ranges."""

    range: float
    output_range: float
    db: float
    """PSNR of the output, shrunk again, against the picture."""


def find_numbers(
    enlarge: Enlarge,
    draft: Adapter,
    picture: FloatArray,
    given: float | None,
    made: float | None,
) -> Numbers:
    """Return the ranges of input and output, which may be stated. Raises NotServable where the
    output resembles the picture with none."""
    found: Numbers | None = None
    for own, output in _pairs(given, made):
        adapter = draft.model_copy(update={"range": own, "output_range": output})
        db = _agreement(enlarge(adapter, picture), picture, adapter)
        if found is None or db > found.db + BETTER_DB:
            found = Numbers(own, output, db)
    assert found is not None  # there is at least one pair
    if found.db < LEAST_DB:
        raise NotServable(
            f"Its output, shrunk again, is {found.db:.0f} dB from its input, at least "
            f"{LEAST_DB:.0f} are expected of an upscaler: state --range, --mean, --std and "
            "--colours if they are others."
        )
    return found


def _pairs(given: float | None, made: float | None) -> Iterator[tuple[float, float]]:
    """Yield ranges of input and output, the likely ones first."""
    pairs = [(own, output) for own in RANGES for output in RANGES]
    for own, output in sorted(pairs, key=lambda pair: pair[0] != pair[1]):
        if given in (None, own) and made in (None, output):
            yield own, output
    if given not in (None, *RANGES) or made not in (None, *RANGES):
        yield given or made or 1.0, made or given or 1.0


def _agreement(larger: FloatArray, picture: FloatArray, adapter: Adapter) -> float:
    """Return the PSNR of an output, shrunk to the picture's size by averaging, in dB."""
    expected = luma_of(picture) if adapter.colours is Colours.LUMA else picture
    scale, (height, width) = adapter.scale, picture.shape[2:]
    blocks = larger[0].reshape(-1, height, scale, width, scale)
    shrunk = blocks.mean(axis=(2, 4), dtype=np.float64)
    inside = slice(BORDER, -BORDER)
    error = np.mean(np.square(shrunk - expected[0])[:, inside, inside])
    return -10 * math.log10(max(float(error), 1e-12))

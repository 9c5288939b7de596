"""Lanczos weights along one axis, as Pillow computes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from images.picture import FloatArray

SUPPORT = 3
"""Input pixels with weight on either side of an output pixel's centre."""
TAPS = 2 * SUPPORT + 1
BLOCK = 16
"""Output pixels of a band: long enough for a fast matrix product, and about half full at x2."""


@dataclass(frozen=True)
class Band:
    """Neighbouring output pixels, and the input pixels that contribute to them."""

    start: int
    """The first output pixel."""
    first: int
    """The first input pixel."""
    weights: FloatArray
    """[output pixels, input pixels]; each row sums to 1."""

    @property
    def stop(self) -> int:
        return self.start + int(self.weights.shape[0])

    @property
    def last(self) -> int:
        """One past the last input pixel."""
        return self.first + int(self.weights.shape[1])


def bands(size: int, larger: int) -> Iterator[Band]:
    """Yield the bands that resample `size` pixels to `larger`, where `size <= larger`.

    Weights are sinc(d) sinc(d / 3) of the distance d in input pixels, normalised over the pixels
    inside the picture.
    """
    centres = (np.arange(larger) + 0.5) * (size / larger)
    nearest = np.floor(centres - (SUPPORT - 0.5)).astype(int)
    pixels = nearest[:, None] + np.arange(TAPS)
    away = pixels + 0.5 - centres[:, None]
    counts = (np.abs(away) < SUPPORT) & (pixels >= 0) & (pixels < size)
    weights = np.where(counts, np.sinc(away) * np.sinc(away / SUPPORT), 0)
    weights /= weights.sum(axis=1, keepdims=True)
    for start in range(0, larger, BLOCK):
        outputs = slice(start, start + BLOCK)
        origin = nearest[start]
        places = pixels[outputs] - origin
        dense = np.zeros((len(places), int(places[-1, -1]) + 1), np.float32)
        np.put_along_axis(dense, places, weights[outputs], axis=1)
        first, last = max(0, origin), min(size, origin + dense.shape[1])
        yield Band(start, int(first), dense[:, first - origin : last - origin])

"""A picture: its samples, and what else its owner expects back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

FloatArray = NDArray[np.float32]
Sample = TypeVar("Sample", bound=np.unsignedinteger[Any])
Samples = NDArray[np.unsignedinteger[Any]]

STRIP_ROWS = 64
"""Rows that are converted at a time, so that no whole picture is held in between."""


def strips(height: int) -> Iterator[slice]:
    """Yield the rows of a picture, STRIP_ROWS at a time."""
    return (slice(start, start + STRIP_ROWS) for start in range(0, height, STRIP_ROWS))


class PictureKind(StrEnum):
    """How the owner's file laid out its colours."""

    GREY = "grey"
    """One plane; bilevel images count as grey, since resampling leaves them no longer bilevel."""
    COLOUR = "colour"
    """Three planes."""
    PALETTE = "palette"
    """Three planes that came from a palette, and go back to one where 256 colours suffice."""


@dataclass(frozen=True)
class Raster:
    """Integer samples, a file's own or rounded from what a network made. Float planes are made of
    them anew each time they are asked for: of some rows or of a window, for they take four times
    as much memory."""

    samples: Samples
    """[H, W, C] of 8 or 16 bits; grey, grey and alpha, RGB, or RGB and alpha."""

    @property
    def height(self) -> int:
        return int(self.samples.shape[0])

    @property
    def width(self) -> int:
        return int(self.samples.shape[1])

    @property
    def bit_depth(self) -> int:
        """8 or 16 bits per sample."""
        return 8 * self.samples.itemsize

    @property
    def colours(self) -> int:
        """The number of channels without alpha: 1 for grey, else 3."""
        return 1 if self.samples.shape[2] < 3 else 3

    @property
    def has_alpha(self) -> bool:
        return self.samples.shape[2] in (2, 4)

    @property
    def colour(self) -> FloatArray:
        """[1, H, W] for grey, else [3, H, W]; in [0, 1]."""
        return _unit(np.moveaxis(self.samples[:, :, : self.colours], 2, 0))

    @property
    def alpha(self) -> FloatArray | None:
        """[H, W] in [0, 1], 1 for opaque; None if the file has no transparency."""
        return _unit(self.samples[:, :, -1]) if self.has_alpha else None

    def cut(self, rows: slice) -> Raster:
        """Return these rows alone."""
        return Raster(self.samples[rows])

    def eight_bits(self) -> NDArray[np.uint8]:
        """Return samples [H, W, C] of 8 bits: its own where they are such."""
        if self.samples.dtype == np.uint8:
            return self.samples.astype(np.uint8, copy=False)
        made = np.empty(self.samples.shape, np.uint8)
        for rows in strips(self.height):
            made[rows] = rounded(_unit(self.samples[rows]), np.uint8)
        return made


@dataclass(frozen=True)
class Picture:
    """Samples and the metadata that travels with them."""

    pixels: Raster
    kind: PictureKind = PictureKind.COLOUR
    icc: bytes | None = None
    """The ICC profile of the samples; its colour space (grey or RGB) is that of `colour`."""
    exif: bytes = b""
    """The EXIF record (with its `Exif` prefix) without orientation, sizes and thumbnail."""

    @property
    def height(self) -> int:
        return self.pixels.height

    @property
    def width(self) -> int:
        return self.pixels.width


def contiguous(samples: NDArray[Sample]) -> NDArray[Sample]:
    """Return samples in C order with canonical strides.

    NumPy counts any stride of a side of one pixel as contiguous; imagecodecs does not.
    """
    return np.ascontiguousarray(samples).ravel().reshape(samples.shape)


def rounded(values: FloatArray, kind: DTypeLike) -> FloatArray:
    """Return the nearest levels of an integer type to values, of which those beyond [0, 1] are
    clamped."""
    levels: FloatArray = np.clip(values, 0, 1)
    levels *= np.iinfo(np.dtype(kind)).max
    return np.rint(levels, out=levels)


def _unit(levels: Samples) -> FloatArray:
    largest = np.float32(np.iinfo(levels.dtype).max)
    return np.ascontiguousarray(levels, dtype=np.float32) / largest

"""A picture: samples, and the metadata that is returned with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from images.colour_space import ColourSpace
from images.limits import STRIP_PIXELS, STRIP_ROWS
from images.metadata.facts import NO_METADATA, Metadata

FloatArray = NDArray[np.float32]
Sample = TypeVar("Sample", bound=np.unsignedinteger[Any])
Samples = NDArray[np.unsignedinteger[Any]]


def strips(height: int, width: int) -> Iterator[slice]:
    """Return slices of equally many rows, an even number, that cover a picture: at most STRIP_ROWS,
    and no more pixels than STRIP_PIXELS unless two rows have more."""
    rows = max(2, min(STRIP_ROWS, STRIP_PIXELS // width) // 2 * 2)
    return (slice(start, start + rows) for start in range(0, height, rows))


class PictureKind(StrEnum):
    """Colour layout of the source file."""

    GREY = "grey"
    """One plane; bilevel images count as grey, since resampling adds levels."""
    COLOUR = "colour"
    """Three planes."""
    PALETTE = "palette"
    """Three planes from a palette; a PNG output has a palette if 256 colours suffice."""


class Features(NamedTuple):
    """Features of samples, on their luma (16 to 235): `images.features`."""

    bands: tuple[float, ...]
    """Energy in each band of spatial frequency, lowest first: log10 of the mean square of a
    pixel."""
    blockiness: float
    """Log of the steps between neighbours at every eighth column over those elsewhere."""
    sparsity: float
    """log10 of the squared mean of the details' magnitude over its mean square."""


@dataclass(frozen=True)
class Raster:
    """Integer samples, from a file or rounded from a network's output.

    Float planes are computed at each access and are not kept: they take up to four times the
    memory, so callers convert some rows or a window at a time.
    """

    samples: Samples
    """[H, W, C] of 8 or 16 bits: grey, grey and alpha, RGB, or RGB and alpha."""
    features: Features | None = field(default=None, compare=False)
    """Of these samples, where they were measured already."""

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
        """Return a raster of these rows."""
        return Raster(self.samples[rows])

    def eight_bits(self) -> NDArray[np.uint8]:
        """Return the samples [H, W, C] in 8 bits, without a copy if they have 8 bits."""
        if self.samples.dtype == np.uint8:
            return self.samples.astype(np.uint8, copy=False)
        reduced = np.empty(self.samples.shape, np.uint8)
        for rows in strips(self.height, self.width):
            reduced[rows] = rounded(_unit(self.samples[rows]), np.uint8)
        return reduced


@dataclass(frozen=True)
class Picture:
    """Samples and the metadata that travels with them."""

    pixels: Raster
    kind: PictureKind = PictureKind.COLOUR
    icc: bytes | None = None
    """The ICC profile of the samples, in the colour space (grey or RGB) of `colour`."""
    metadata: Metadata = NO_METADATA
    """All that stays true at another size."""
    rights: Metadata = NO_METADATA
    """The part of it that states author, copyright, licence and resolution."""
    space: ColourSpace | None = None
    """The colour space that the file names. It counts over a profile, which is then for readers
    that do not know the name. Without both, colours are sRGB."""
    converted: bool = False
    """Whether samples were converted from colours that could not be kept."""

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
    """Return values, clamped to [0, 1], as the nearest levels of an integer type, still floats."""
    levels: FloatArray = np.clip(values, 0, 1)
    levels *= np.iinfo(np.dtype(kind)).max
    return np.rint(levels, out=levels)


def _unit(levels: Samples) -> FloatArray:
    largest = np.float32(np.iinfo(levels.dtype).max)
    return np.ascontiguousarray(levels, dtype=np.float32) / largest

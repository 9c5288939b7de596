"""A picture: its samples, as a file has them or as a network makes them, and what else its owner
expects back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
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
class Planes:
    """Float samples, plane by plane: what networks take and make."""

    colour: FloatArray
    """[1, H, W] for grey, else [3, H, W]; in [0, 1]."""
    alpha: FloatArray | None = None
    """[H, W] in [0, 1], 1 for opaque; None if the file has no transparency."""

    @property
    def height(self) -> int:
        return int(self.colour.shape[1])

    @property
    def width(self) -> int:
        return int(self.colour.shape[2])

    @property
    def has_alpha(self) -> bool:
        return self.alpha is not None

    def cut(self, rows: slice) -> Planes:
        """Return these rows alone."""
        return Planes(self.colour[:, rows], None if self.alpha is None else self.alpha[rows])

    def integers(self, depth: int) -> Samples:
        """Return samples [H, W, C] of 8 or 16 bits, alpha last; what is beyond [0, 1] is
        clamped."""
        kind: type[np.uint8] | type[np.uint16] = np.uint16 if depth == 16 else np.uint8
        planes = [*self.colour, *([] if self.alpha is None else [self.alpha])]
        samples: Samples = np.empty((self.height, self.width, len(planes)), kind)
        for rows in strips(self.height):
            for channel, plane in enumerate(planes):
                levels = np.clip(plane[rows], 0, 1) * np.iinfo(kind).max
                samples[rows, :, channel] = np.rint(levels)
        return samples


@dataclass(frozen=True)
class Raster:
    """A file's own integer samples. The planes are made of them anew each time they are asked
    for: they take four times as much memory, and only networks need them."""

    samples: Samples
    """[H, W, C] of 8 or 16 bits; grey, grey and alpha, RGB, or RGB and alpha."""

    @property
    def height(self) -> int:
        return int(self.samples.shape[0])

    @property
    def width(self) -> int:
        return int(self.samples.shape[1])

    @property
    def has_alpha(self) -> bool:
        return self.samples.shape[2] in (2, 4)

    @property
    def colour(self) -> FloatArray:
        """As of `Planes`."""
        return _unit(np.moveaxis(self.samples, 2, 0)[: 1 if self.samples.shape[2] < 3 else 3])

    @property
    def alpha(self) -> FloatArray | None:
        """As of `Planes`."""
        return _unit(self.samples[:, :, -1]) if self.has_alpha else None

    def cut(self, rows: slice) -> Raster:
        """Return these rows alone."""
        return Raster(self.samples[rows])

    def integers(self, depth: int) -> Samples:
        """Return samples [H, W, C] of 8 or 16 bits, alpha last: its own where they are such."""
        if self.samples.itemsize * 8 == depth:
            return self.samples
        parts = [Planes(part.colour, part.alpha) for part in map(self.cut, strips(self.height))]
        return np.concatenate([part.integers(depth) for part in parts])


@dataclass(frozen=True)
class Picture:
    """Samples and the metadata that travels with them."""

    pixels: Planes | Raster
    kind: PictureKind = PictureKind.COLOUR
    bit_depth: int = 8
    """8 or 16 bits per sample of the file."""
    icc: bytes | None = None
    """The ICC profile of the samples; its colour space (grey or RGB) is that of `colour`."""
    exif: bytes = b""
    """The EXIF record (with its `Exif` prefix) without orientation, sizes and thumbnail."""

    @property
    def colour(self) -> FloatArray:
        """[1, H, W] for grey, else [3, H, W]; in [0, 1]. Made anew each time of a `Raster`."""
        return self.pixels.colour

    @property
    def alpha(self) -> FloatArray | None:
        """[H, W] in [0, 1], 1 for opaque; None if the file has no transparency. Made anew each
        time of a `Raster`."""
        return self.pixels.alpha

    @property
    def height(self) -> int:
        return self.pixels.height

    @property
    def width(self) -> int:
        return self.pixels.width


def _unit(levels: Samples) -> FloatArray:
    largest = np.float32(np.iinfo(levels.dtype).max)
    return np.ascontiguousarray(levels, dtype=np.float32) / largest

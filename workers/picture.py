"""A decoded picture: samples between 0 and 1, and what else its owner expects back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


class PictureKind(StrEnum):
    """How the owner's file laid out its colours."""

    GREY = "grey"
    """One plane; bilevel images count as grey, since resampling leaves them no longer bilevel."""
    COLOUR = "colour"
    """Three planes."""
    PALETTE = "palette"
    """Three planes that came from a palette, and go back to one where 256 colours suffice."""


@dataclass(frozen=True)
class Picture:
    """Samples and the metadata that travels with them."""

    colour: FloatArray
    """[1, H, W] for grey, else [3, H, W]; in [0, 1]."""
    alpha: FloatArray | None = None
    """[H, W] in [0, 1], 1 for opaque; None if the file has no transparency."""
    kind: PictureKind = PictureKind.COLOUR
    bit_depth: int = 8
    """8 or 16 bits per sample of the file."""
    icc: bytes | None = None
    """The ICC profile of the samples; its colour space (grey or RGB) is that of `colour`."""
    exif: bytes = b""
    """The EXIF record (with its `Exif` prefix) without orientation, sizes and thumbnail."""

    @property
    def height(self) -> int:
        return int(self.colour.shape[1])

    @property
    def width(self) -> int:
        return int(self.colour.shape[2])

"""What an encoded image states in its header."""

from __future__ import annotations

from dataclasses import dataclass

from images.limits import fitting_size
from jobs.errors import ImageTooLarge
from jobs.formats import ImageFormat

GREY_MODES = frozenset({"1", "L", "LA", "I;16"})
"""Pillow's names of the layouts that are decoded to one channel, or two with alpha."""


@dataclass(frozen=True)
class ImageHeader:
    """The facts of an image that need no decoding. `width` and `height` are in pixels, after
    `orientation` (EXIF, 1 to 8) is applied."""

    format: ImageFormat
    width: int
    height: int
    orientation: int
    bit_depth: int
    """Bits per sample that are kept: 8 or 16."""
    mode: str
    """Pillow's name of the pixel layout, such as L, P, RGB, RGBA or CMYK."""
    jpeg_quality: float | None = None
    """The quality, 1 to 100, of a JPEG that is as damaged; None where nothing was lost."""
    transparent: bool = False
    """Whether it has an alpha channel, or a colour that counts as transparent."""
    frame: int | None = None
    """Which frame or page of its file it is, counted from 0; None where that holds one picture."""

    @property
    def pixels(self) -> int:
        return self.width * self.height

    @property
    def colours(self) -> int:
        """Channels of a decoded pixel without alpha: 1 for grey, else 3."""
        return 1 if self.mode in GREY_MODES else 3

    @property
    def sample_bytes(self) -> int:
        """Bytes of a decoded pixel over all channels."""
        return (self.colours + self.transparent) * self.bit_depth // 8


def check_pixels(width: int, height: int, max_pixels: int) -> None:
    """Raise ImageTooLarge for an image of more than `max_pixels`."""
    if width * height > max_pixels:
        fitting = "{} x {}".format(*fitting_size(width, height, max_pixels))
        raise ImageTooLarge(
            f"The image has {width} x {height} pixels; at most {max_pixels} in all are accepted, "
            f"such as {fitting}.",
            max_pixels=max_pixels,
        )

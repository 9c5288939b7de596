"""The header of an AVIF still picture."""

from __future__ import annotations

from dataclasses import dataclass

from images.containers.heif import CODED
from images.containers.heif_picture import HeifPicture, Size

HIGH_BITDEPTH, TWELVE_BIT, MONOCHROME = 0x40, 0x20, 0x10
"""Flags of an AV1 configuration."""


@dataclass(frozen=True)
class AvifHeader:
    """What the container states. Sizes are in pixels before `orientation` is applied."""

    width: int
    height: int
    orientation: int
    """As in EXIF, 1 to 8; a record in the same file does not count."""
    grey: bool
    alpha: bool
    bits: int
    """Per sample: 8, 10 or 12."""
    code_points: tuple[int, int] | None
    """Colour primaries and transfer characteristics of the property `colr` of type nclx (ITU-T
    H.273); None without one: then those of the stream count."""
    coded: tuple[Size, ...]
    """The sizes to which coded pictures (tiles, transparency, previews) are scaled."""


def read_avif(data: bytes) -> AvifHeader:
    """Read the header of an AVIF. Raises Unread, also for a file that is cut."""
    picture = HeifPicture(data, CODED)
    width, height = picture.size
    flags = _flags(picture)
    return AvifHeader(
        width=width,
        height=height,
        orientation=picture.orientation(),
        grey=bool(flags & MONOCHROME),
        alpha=picture.is_transparent(),
        bits=(12 if flags & TWELVE_BIT else 10) if flags & HIGH_BITDEPTH else 8,
        code_points=picture.code_points(),
        coded=tuple(picture.coded()),
    )


def _flags(picture: HeifPicture) -> int:
    """Return the byte of flags in the configuration (AV1 in ISO BMFF, 2.3.3)."""
    fields = picture.configuration(b"av1C")
    fields.read(2)  # version, profile, level
    return fields.read(1)

"""The header of a HEIC still picture: HEVC in the boxes of ISO/IEC 23008-12."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from images.containers.boxes import Fields
from images.containers.common import Unread
from images.containers.heif_picture import HeifPicture, Size
from images.containers.hevc import has_hole, largest_size

CODED = b"hvc1"
BEFORE_CHROMA, BEFORE_UNITS = 16, 3
"""Bytes of a configuration before the chroma format, and between depths and units."""
BEFORE_LENGTHS = 21
"""Bytes of a configuration before the one that says how many a unit's length has."""
MONOCHROME = 0


@dataclass(frozen=True)
class HeicHeader:
    """What the container states. Sizes are in pixels."""

    width: int
    height: int
    """As shown: libheif crops, turns and mirrors while it decodes."""
    grey: bool
    alpha: bool
    bits: int
    """Per sample, 8 to 15."""
    code_points: tuple[int, int] | None
    """Colour primaries and transfer characteristics (ITU-T H.273); None where none are stated."""
    coded: tuple[Size, ...]
    """The sizes of coded pictures (tiles, transparency, previews)."""


def read_heic(data: bytes) -> HeicHeader:
    """Read the header of a HEIC. Raises Unread, also for a file that is cut."""
    picture = HeifPicture(data, CODED)
    fields = picture.configuration(b"hvcC")
    fields.skip(BEFORE_CHROMA)
    chroma, luma_bits, chroma_bits = (fields.read(1) for _ in range(3))
    width, height = _cropped(picture)
    if picture.orientation() > 4:
        width, height = height, width
    return HeicHeader(
        width=width,
        height=height,
        grey=chroma & 3 == MONOCHROME,
        alpha=picture.is_transparent(),
        bits=8 + max(luma_bits & 7, chroma_bits & 7),
        code_points=picture.code_points(),
        coded=tuple(_coded(picture)),
    )


def has_missing_pixels(data: bytes) -> bool:
    """Return whether a coded picture that is seen has a hole. Raises Unread."""
    for coded, configuration in HeifPicture(data, CODED).shown_with(b"hvcC"):
        configuration.skip(BEFORE_LENGTHS)
        if has_hole(coded, (configuration.read(1) & 3) + 1):
            return True
    return False


def _cropped(picture: HeifPicture) -> Size:
    """Return the size of the clean aperture (ISO/IEC 14496-12, 12.1.4), or of the whole. Raises
    Unread for one of parts of a pixel."""
    fields = picture.own(b"clap")
    if fields is None:
        return picture.size
    width, across, height, down = (fields.read(4) for _ in range(4))
    if not (across and down) or width % across or height % down:
        raise Unread
    size = width // across, height // down
    if not all(0 < side <= whole for side, whole in zip(size, picture.size, strict=True)):
        raise Unread
    return size


def _coded(picture: HeifPicture) -> Iterator[Size]:
    """Yield the larger of the size in the container and that in the stream, of each picture."""
    known: dict[int, Size] = {}
    for size, configuration in picture.coded_with(b"hvcC"):
        start = configuration.at
        if start not in known:
            known[start] = _in_stream(configuration)
        yield max(size, known[start], key=lambda one: one[0] * one[1])


def _in_stream(configuration: Fields) -> Size:
    configuration.skip(BEFORE_CHROMA + 3 + BEFORE_UNITS)
    return largest_size(configuration)

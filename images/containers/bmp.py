"""The header of a BMP (Microsoft's BITMAPINFOHEADER and its older and newer forms)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from images.containers.common import Unread

SIGNATURE = b"BM"
FILE_HEADER = 14
"""Bytes before the header of the picture."""
PIXELS_AT = 10
"""Where their position stands."""
OLD_HEADER = 12
"""Bytes of the oldest header of a picture, whose sides have 16 bits."""
HEADERS = (OLD_HEADER, 40, 52, 56, 64, 108, 124)
"""Bytes of the headers that there are."""
PLAIN, RLE8, RLE4, MASKS = 0, 1, 2, 3
"""Compressions that are read: JPEG and PNG (4 and 5) are for printers."""
RUNS = (RLE8, RLE4)
DEPTHS = {PLAIN: (1, 4, 8, 16, 24, 32), RLE8: (8,), RLE4: (4,), MASKS: (16, 24, 32)}
"""Bits of a pixel, by compression."""
MASKS_AT = FILE_HEADER + 40
WITH_ALPHA = frozenset(
    (
        (0xFF000000, 0xFF0000, 0xFF00, 0xFF),
        (0xFF, 0xFF00, 0xFF0000, 0xFF000000),
        (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
        (0xFF000000, 0xFF00, 0xFF, 0xFF0000),
        (0, 0, 0, 0),
    )
)
"""Masks of red, green, blue and alpha in a pixel that are read."""
OPAQUE = {
    32: {(0xFF0000, 0xFF00, 0xFF), (0xFF000000, 0xFF0000, 0xFF00), (0xFF000000, 0xFF00, 0xFF)},
    24: {(0xFF0000, 0xFF00, 0xFF)},
    16: {(0xF800, 0x7E0, 0x1F), (0x7C00, 0x3E0, 0x1F)},
}
"""The same without alpha, by bits of a pixel."""


@dataclass(frozen=True)
class BmpHeader:
    """What the header states; sizes are in pixels."""

    width: int
    height: int
    bits: int
    """Per pixel."""
    palette: slice
    """Of the file: blue, green, red and a byte without meaning, for each colour."""
    alpha: bool = False
    pixels_per_metre: tuple[int, int] = (0, 0)
    """Along each axis; 0 where nothing is stated."""
    unread: str | None = None
    """What makes it a kind that is not read."""
    compression: int = PLAIN
    pixels_at: int = 0
    """Position of the first pixel or run."""
    top_down: bool = False
    """The first row is the uppermost one."""


def read_bmp(data: bytes) -> BmpHeader:
    """Read the header of a BMP. Raises Unread."""
    if len(data) < FILE_HEADER + 4 or not data.startswith(SIGNATURE):
        raise Unread
    (size,) = struct.unpack_from("<I", data, FILE_HEADER)
    if size not in HEADERS or len(data) < FILE_HEADER + size:
        raise Unread
    if size == OLD_HEADER:
        width, height, _, bits = struct.unpack_from("<HHHH", data, FILE_HEADER + 4)
        return _checked(BmpHeader(width, height, bits, slice(0)))
    width, height, _, bits = struct.unpack_from("<iiHH", data, FILE_HEADER + 4)
    numbers = struct.unpack_from("<IIiiI", data, FILE_HEADER + 16)
    compression, _, across, down, colours = numbers
    masks = _masks(data, size) if compression == MASKS else None
    alpha = bits == 32 and masks in WITH_ALPHA
    palette = _palette(FILE_HEADER + size, bits, colours)
    (pixels_at,) = struct.unpack_from("<I", data, PIXELS_AT)
    header = BmpHeader(
        width=width,
        height=abs(height),
        bits=bits,
        alpha=alpha,
        pixels_per_metre=(across, down),
        compression=compression,
        palette=palette,
        pixels_at=pixels_at or palette.stop,
        top_down=height < 0,
    )
    if masks is None or alpha or (masks[3] == 0 and masks[:3] in OPAQUE.get(bits, ())):
        return _checked(header)
    return replace(header, unread="with an unusual order of its bits")


def _palette(at: int, bits: int, colours: int) -> slice:
    """Return where the palette lies of a picture with so many bits per pixel and `colours`, 0 for
    as many as the bits can tell apart."""
    most = 1 << bits if bits <= 8 else 0
    return slice(at, at + 4 * min(colours or most, most))


def _checked(header: BmpHeader) -> BmpHeader:
    method = header.compression
    if header.width < 1 or header.height < 1:
        raise Unread
    if header.bits in DEPTHS.get(method, ()):
        return header
    reason = f"of {header.bits} bits" if method in DEPTHS else f"compressed by method {method}"
    return replace(header, unread=reason)


def _masks(data: bytes, size: int) -> tuple[int, ...]:
    """Return the masks of red, green, blue and alpha; the last is 0 in a header without it."""
    if len(data) < MASKS_AT + 16:
        raise Unread
    masks: tuple[int, ...] = struct.unpack_from("<IIII", data, MASKS_AT)
    return masks if size >= 56 else (*masks[:3], 0)

"""The resolution of a print in the forms of its containers.

A picture keeps its density when it is enlarged: 300 dpi stay 300 dpi, and the print grows.
"""

from __future__ import annotations

import struct

from images.metadata.facts import Density

INCH, CENTIMETRE = 0.0254, 0.01
"""In metres."""
LARGEST_OF_JFIF, LARGEST_OF_PNG = (1 << 16) - 1, (1 << 31) - 1
ROUNDING = 0.51 * INCH
"""How far a whole number of pixels per inch may lie off when it was stored as a whole number of
pixels per metre, as PNG does: 300 dpi as 11811."""


def made(x: float, y: float, metres: float | None) -> Density | None:
    """Return a density of pixels per unit of so many metres, or of no unit; None where a value is
    not above 0 or absurd, and for square pixels without a unit, which state nothing."""
    if metres is None and x == y:
        return None
    unit = metres or 1.0
    try:
        return Density(x / unit, y / unit, metres is not None)
    except ValueError:
        return None


def from_jfif(segment: bytes) -> Density | None:
    """Return the density in a segment APP0 of a JPEG (ITU-T T.871, 10.1)."""
    if len(segment) < 12 or not segment.startswith(b"JFIF\0"):
        return None
    unit, x, y = struct.unpack_from(">BHH", segment, 7)
    units = {0: None, 1: INCH, 2: CENTIMETRE}
    return made(x, y, units[unit]) if unit in units else None


def to_jfif(density: Density | None) -> bytes | None:
    """Return unit and density of a JFIF segment; None for one that it cannot hold."""
    if density is None:
        return None
    if not density.absolute:
        return _ratio(density)
    found: list[tuple[bool, int, int, int]] = []
    for unit in (1, 2):
        x, y = per_inch(density) if unit == 1 else (density.x * CENTIMETRE, density.y * CENTIMETRE)
        whole = round(x), round(y)
        if min(whole) > 0 and max(whole) <= LARGEST_OF_JFIF:
            rounded = max(abs(x - whole[0]), abs(y - whole[1])) >= 1e-6
            found.append((rounded, unit, *whole))
    if not found:
        return None
    _, unit, *sides = min(found)  # exact before rounded, inches before centimetres
    return struct.pack(">BHH", unit, *sides)


def _ratio(density: Density) -> bytes | None:
    """Return the ratio of a pixel's sides without a unit, in whole numbers."""
    x, y = density.x, density.y
    if x != round(x) or y != round(y) or max(x, y) > LARGEST_OF_JFIF:
        x, y = (1000 * side / max(x, y) for side in (x, y))
    return struct.pack(">BHH", 0, max(1, round(x)), max(1, round(y)))


def from_png(chunk: bytes) -> Density | None:
    """Return the density in a chunk pHYs of a PNG (ISO/IEC 15948, 11.3.5.3)."""
    if len(chunk) != 9 or chunk[8] > 1:
        return None
    x, y, unit = struct.unpack(">IIB", chunk)
    return made(x, y, 1.0 if unit else None)


def to_png(density: Density) -> bytes:
    """Return the content of a chunk pHYs."""
    x, y = (min(max(1, round(side)), LARGEST_OF_PNG) for side in (density.x, density.y))
    return struct.pack(">IIB", x, y, density.absolute)


def per_inch(density: Density) -> tuple[float, float]:
    """Return pixels per inch, whole numbers where the density is one that was rounded."""
    x, y = (side * INCH for side in (density.x, density.y))
    near = max(abs(x - round(x)), abs(y - round(y))) < ROUNDING
    return (round(x), round(y)) if near and min(x, y) >= 1 else (x, y)

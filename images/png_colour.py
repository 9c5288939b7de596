"""The chunks of a PNG that state its colours (PNG, third edition, 4.3 and 11.3.2).

cICP counts over iCCP, iCCP over sRGB, and sRGB over gAMA and cHRM. iCCP itself is read by Pillow.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from images.colour_space import SRGB, Calibration, Chromaticities, Cicp, ColourSpace
from images.containers import png

KINDS = (b"cICP", b"sRGB", b"gAMA", b"cHRM")
LONGEST = 32
"""Bytes of the content of cHRM."""
PERCEPTUAL = b"\0"
"""The rendering intent that is written with sRGB."""
MOST = 200_000
"""The largest value of cHRM that is believed; imaginary primaries lie a little above 1."""
LEAST_AREA = 100_000_000
"""Twice the area of the smallest triangle of primaries that is believed, a twentieth of sRGB's."""


def space_of_png(data: bytes, has_profile: bool) -> tuple[ColourSpace | None, bool]:
    """Return the colour space that counts, None where it is the profile or unknown, and whether
    samples have the narrow range of video.

    Chunks that are damaged, of a wrong length, or with values that the specification excludes are
    passed over. Raises Unread as `containers.png.chunks`.
    """
    chunks = _chunks(data)
    cicp = _cicp(chunks.get(b"cICP", b""))
    if cicp is not None:
        return cicp, chunks[b"cICP"][3] == 0
    if has_profile:
        return None, False
    return (SRGB if len(chunks.get(b"sRGB", b"")) == 1 else _calibration(chunks)), False


def colour_chunks(space: ColourSpace | None, beside: bool) -> list[tuple[bytes, bytes]]:
    """Return type and content of the chunks that state a space, alone or `beside` a profile."""
    if isinstance(space, Cicp):
        chunks = [(b"cICP", bytes((space.primaries, space.transfer, 0, 1)))]
        return chunks + ([(b"sRGB", PERCEPTUAL)] if space == SRGB and not beside else [])
    chunks = []
    if space is not None and space.gamma is not None:
        chunks.append((b"gAMA", struct.pack(">I", space.gamma)))
    if space is not None and space.chromaticities is not None:
        chunks.append((b"cHRM", struct.pack(">8I", *space.chromaticities)))
    return chunks


def _chunks(data: bytes) -> dict[bytes, bytes]:
    """Return the contents of the first intact chunks of each kind before the pixels."""
    found: dict[bytes, bytes] = {}
    for kind, start, end in png.chunks(data):
        if kind == b"IDAT":
            break
        wanted = kind in KINDS and kind not in found and end - start <= LONGEST
        if wanted and png.is_intact(data, start, end):
            found[kind] = data[start:end]
    return found


def _cicp(content: bytes) -> Cicp | None:
    if len(content) != 4 or content[2] != 0 or content[3] > 1:  # RGB alone; full or narrow range
        return None
    return Cicp.stated(content[0], content[1])


def _calibration(chunks: Mapping[bytes, bytes]) -> Calibration | None:
    stated = chunks.get(b"gAMA", b"")
    gamma = int.from_bytes(stated) if len(stated) == 4 else 0
    chromaticities = _chromaticities(chunks.get(b"cHRM", b""))
    if not 0 < gamma < 1 << 31 and chromaticities is None:
        return None
    return Calibration(gamma if 0 < gamma < 1 << 31 else None, chromaticities)


def _chromaticities(content: bytes) -> Chromaticities | None:
    """Return chromaticities from which a colour space can be made, else None."""
    if len(content) != 32:
        return None
    values = struct.unpack(">8I", content)
    points = list(zip(values[::2], values[1::2], strict=True))
    (white_x, white_y), (rx, ry), (gx, gy), (bx, by) = points
    if not white_y or white_x + white_y > 100_000 or max(values) > MOST:
        return None
    area = abs((gx - rx) * (by - ry) - (bx - rx) * (gy - ry))
    return values if area >= LEAST_AREA else None

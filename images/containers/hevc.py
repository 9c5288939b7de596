"""The size in an HEVC stream's sequence parameter set (ITU-T H.265, 7.3.2.2)."""

from __future__ import annotations

from images.containers.boxes import Fields
from images.containers.common import Unread

SEQUENCE_PARAMETERS = 33
"""Type of a unit."""
HEAD_BYTES = 256
"""Bytes of a unit that are read; those before the size are less than a hundred."""
HOLE = bytes(8)
"""More zeros than writers leave behind a unit."""
MAX_ARRAYS = 64
"""Arrays of units, and units of an array, in a configuration. Real ones have three, and one."""
GENERAL_PROFILE_BITS = 88
LEVEL_BITS = 8
SEPARATE_PLANES = 3
"""The chroma format whose planes may be coded as pictures of their own."""


def largest_size(configuration: Fields) -> tuple[int, int]:
    """Return the largest width and height in pixels, (0, 0) for none, that the sequence parameters
    behind the head of a decoder configuration state (ISO/IEC 14496-15, 8.3.3.1.2). Raises
    Unread."""
    sizes = [(0, 0)]
    for _ in range(min(configuration.read(1), MAX_ARRAYS)):
        kind = configuration.read(1) & 0x3F
        for _ in range(min(configuration.read(2), MAX_ARRAYS)):
            unit = configuration.bytes(configuration.read(2))
            if kind == SEQUENCE_PARAMETERS:
                sizes.append(_size(unit[:HEAD_BYTES]))
    return max(sizes, key=lambda size: size[0] * size[1])


def has_hole(coded: bytes, length_bytes: int) -> bool:
    """Return whether the units of a coded picture, each behind its length (ISO/IEC 14496-15,
    8.3.3), have a run of zeros. Coders put a 3 behind every two zeros (H.265, 7.4.2), so it is what
    a broken transfer has left out; decoders take it for a picture, and tell of nothing."""
    start = 0
    while start + length_bytes <= len(coded):
        first = start + length_bytes
        after = first + int.from_bytes(coded[start:first])
        if coded.find(HOLE, first, after) >= 0 or (
            after == first and coded.startswith(HOLE, start)
        ):
            return True
        start = after
    return False


def _size(unit: bytes) -> tuple[int, int]:
    bits = _Bits(unit[2:].replace(b"\0\0\3", b"\0\0"))
    bits.read(4)  # of the video parameters
    layers = bits.read(3)
    bits.read(1 + GENERAL_PROFILE_BITS + LEVEL_BITS)
    present = [(bits.read(1), bits.read(1)) for _ in range(layers)]
    if layers:
        bits.read(2 * (8 - layers))
    for profile, level in present:
        bits.read(GENERAL_PROFILE_BITS * profile + LEVEL_BITS * level)
    bits.exponential()  # number of the parameters
    if bits.exponential() == SEPARATE_PLANES:
        bits.read(1)
    return bits.exponential(), bits.exponential()


class _Bits:
    """Bits, the highest of each byte first. Raises Unread beyond the end."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data)
        self._left = 8 * len(data)

    def read(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise Unread
        return self._value >> self._left & (1 << count) - 1

    def exponential(self) -> int:
        """Return a number in the Exp-Golomb code (9.2)."""
        zeros = 0
        while not self.read(1):
            zeros += 1
            if zeros > 32:
                raise Unread
        return (1 << zeros) - 1 + self.read(zeros)

"""The header of a JPEG XL (ISO/IEC 18181-1, annex A and D; its boxes: 18181-2)."""

from __future__ import annotations

from dataclasses import dataclass

from images.containers.boxes import walk
from images.containers.common import Unread

CODESTREAM = b"\xff\x0a"
CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n"
MAX_HEADER = 4096
"""Bytes of the codestream that may be read of a header; names of channels take most of them."""
MAX_CHANNELS = 64

_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
"""Width over height (18181-1, table D.1)."""

Choice = tuple[tuple[int, int], ...]
"""Four ways to code a number: bits, and what is added to them."""
_SIZE: Choice = ((9, 1), (13, 1), (18, 1), (30, 1))
_ENUM: Choice = ((0, 0), (0, 1), (4, 2), (6, 18))
_INTEGER_BITS: Choice = ((0, 8), (0, 10), (0, 12), (6, 1))
_FLOAT_BITS: Choice = ((0, 32), (0, 16), (0, 24), (6, 1))
_CHANNELS: Choice = ((0, 0), (0, 1), (4, 2), (12, 1))
_SHIFT: Choice = ((0, 0), (0, 3), (0, 4), (3, 1))
_NAME: Choice = ((0, 0), (4, 0), (5, 16), (10, 48))
_COLOUR_FILTER: Choice = ((0, 1), (2, 0), (4, 3), (8, 19))

ALPHA, SPOT, BLACK, COLOUR_FILTER = 0, 2, 4, 5
"""Types of extra channels (table D.9)."""
GREY = 1
"""A colour space (table E.2)."""


@dataclass(frozen=True)
class JxlHeader:
    """What the header states. Sizes are in pixels before `orientation` is applied."""

    width: int
    height: int
    orientation: int
    """As in EXIF, 1 to 8; a record in the same file does not count."""
    animated: bool
    bits: int
    """Bits per sample, 1 to 32."""
    grey: bool
    alpha: bool
    black: bool
    """There is a channel of black: the colours are CMY."""
    xyb: bool
    """The colours are in the space of lossy pictures."""


def read_jxl(data: bytes) -> JxlHeader:
    """Read the header of a JPEG XL, bare or in a container. Raises Unread."""
    stream = _codestream(data)
    if stream[:2] != CODESTREAM:
        raise Unread
    bits = _Bits(stream[2:])
    width, height = _size(bits)
    if bits.flag():  # all fields have their defaults
        return JxlHeader(width, height, 1, False, 8, False, False, False, True)
    orientation, animated = _extra_fields(bits) if bits.flag() else (1, False)
    if animated:  # the header goes on, but the picture is refused
        return JxlHeader(width, height, orientation, True, 8, False, False, False, True)
    depth = _depth(bits)
    bits.read(1)  # modular_16bit_buffers
    kinds = _extra_channels(bits)
    xyb = bits.flag()
    grey = False
    if not bits.flag():  # not sRGB
        bits.read(1)  # want_icc
        grey = bits.choose(_ENUM) == GREY
    alpha, black = ALPHA in kinds, BLACK in kinds
    return JxlHeader(width, height, orientation, False, depth, grey, alpha, black, xyb)


def has_jpeg(data: bytes) -> bool:
    """Return whether a JPEG XL is a JPEG, repacked without further loss."""
    return data.startswith(CONTAINER) and any(k == b"jbrd" for k, _ in walk(data, 0, len(data)))


def _codestream(data: bytes) -> bytes:
    """Return the beginning of the codestream, MAX_HEADER bytes at most."""
    if not data.startswith(CONTAINER):
        return data[:MAX_HEADER]
    stream = b""
    for kind, box in walk(data, 0, len(data)):
        if kind in (b"jxlc", b"jxlp"):
            start = box.start + (4 if kind == b"jxlp" else 0)  # the number of the part
            stream += data[start : min(box.end, start + MAX_HEADER)]
        if kind == b"jxlc" or len(stream) >= MAX_HEADER:
            break
    return stream[:MAX_HEADER]


class _Bits:
    """The bits of a stream, lowest first (18181-1, B.2)."""

    def __init__(self, data: bytes) -> None:
        self._bits = int.from_bytes(data, "little")
        self._left = 8 * len(data)

    def read(self, bits: int) -> int:
        """Return the next number of `bits` bits. Raises Unread beyond the end."""
        self._left -= bits
        if self._left < 0:
            raise Unread
        number = self._bits & ((1 << bits) - 1)
        self._bits >>= bits
        return number

    def flag(self) -> bool:
        return self.read(1) == 1

    def choose(self, choice: Choice) -> int:
        """Return the next number that is coded in one of four ways (B.2.2)."""
        bits, offset = choice[self.read(2)]
        return self.read(bits) + offset


def _size(bits: _Bits) -> tuple[int, int]:
    """Read width and height (D.2)."""
    small = bits.flag()
    height = 8 * (bits.read(5) + 1) if small else bits.choose(_SIZE)
    ratio = bits.read(3)
    if ratio:
        wide, high = _RATIOS[ratio - 1]
        return height * wide // high, height
    return 8 * (bits.read(5) + 1) if small else bits.choose(_SIZE), height


def _extra_fields(bits: _Bits) -> tuple[int, bool]:
    """Read orientation, and whether there is an animation (D.3)."""
    orientation = bits.read(3) + 1
    if bits.flag():
        _size(bits)  # the size at which it should be shown
    if bits.flag():
        _skip_preview(bits)
    return orientation, bits.flag()


def _skip_preview(bits: _Bits) -> None:
    """Read the size of a preview (D.4)."""
    eighths = bits.flag()
    sizes: Choice = (
        ((0, 16), (0, 32), (5, 1), (9, 33)) if eighths else ((6, 1), (8, 65), (10, 321), (12, 1345))
    )
    bits.choose(sizes)
    if not bits.read(3):
        bits.choose(sizes)


def _depth(bits: _Bits) -> int:
    """Read the bits per sample (D.6)."""
    if not bits.flag():
        return bits.choose(_INTEGER_BITS)
    depth = bits.choose(_FLOAT_BITS)
    bits.read(4)  # of the exponent
    return depth


def _extra_channels(bits: _Bits) -> list[int]:
    """Read the types of the channels beside the colours (D.7)."""
    count = bits.choose(_CHANNELS)
    if count > MAX_CHANNELS:
        raise Unread
    return [ALPHA if bits.flag() else _extra_channel(bits) for _ in range(count)]


def _extra_channel(bits: _Bits) -> int:
    kind = bits.choose(_ENUM)
    _depth(bits)
    bits.choose(_SHIFT)
    bits.read(8 * bits.choose(_NAME))
    if kind == ALPHA:
        bits.read(1)  # alpha_associated
    elif kind == SPOT:
        bits.read(4 * 16)
    elif kind == COLOUR_FILTER:
        bits.choose(_COLOUR_FILTER)
    return kind

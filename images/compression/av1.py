"""An AV1 stream's headers, as far as its quantizer (AV1 specification, section 5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from images.containers.common import MAX_PARTS, Unread

Stream = bytes | memoryview

SEQUENCE_HEADER = 1
FRAME_HEADERS = (3, 6)
"""A frame's header, alone or followed by its tiles (AV1, 6.2.2)."""
MAX_HEADER = 1 << 16
"""Bytes of a unit that may be read of a header."""


class _Bits:
    """The bits of a stream, highest first (AV1, 4.10)."""

    def __init__(self, data: Stream) -> None:
        self._data = data
        self._at = 0

    def read(self, bits: int) -> int:
        """Return the next number of `bits` bits, 0 for none. Raises Unread beyond the end."""
        first, self._at = self._at, self._at + bits
        end = (self._at + 7) // 8
        if end > len(self._data):
            raise Unread
        number = int.from_bytes(self._data[first // 8 : end]) >> (end * 8 - self._at)
        return number & ((1 << bits) - 1)

    def flag(self) -> bool:
        return self.read(1) == 1

    def below(self, bound: int) -> int:
        """Return the next number that is less than a bound (AV1, 4.10.7)."""
        bits = bound.bit_length()
        short = (1 << bits) - bound
        number = self.read(bits - 1)
        return number if number < short else 2 * number - short + self.read(1)

    def ones(self, limit: int) -> int:
        """Return the number of ones before a zero, `limit` at most; the zero is read too."""
        count = 0
        while count < limit and self.flag():
            count += 1
        return count


@dataclass(frozen=True)
class _Sequence:
    """Fields of the sequence header on which the layout of frame headers depends (AV1, 5.5.1)."""

    reduced: bool
    """The stream is one picture, with a shorter header."""
    decoder_model: bool
    """The stream describes its decoder's buffers, in frame headers too."""
    width_bits: int
    height_bits: int
    width: int
    height: int
    id_bits: int
    """Bits of a frame's number; 0 where frames have none."""
    large_superblocks: bool
    """128 x 128 pixels, else 64 x 64."""
    tools: _Tools
    superres: bool


@dataclass(frozen=True)
class _Tools:
    """Coding tools: 0 for never, 1 for always, 2 as each frame states."""

    screen_content: int = 2
    integer_motion: int = 2
    order_bits: int = 0
    """Bits of a frame's position in display order."""


def largest_frame(stream: Stream, most_units: int = MAX_PARTS) -> tuple[int, int, int]:
    """Return the largest width and height in pixels that the sequence headers of a stream allow
    (AV1, 5.5.1), and the number of units read. Raises Unread where there is none, and for more
    than `most_units`."""
    units = list(_units(stream, most_units))
    found = [_sequence(_Bits(content)) for kind, content in units if kind == SEQUENCE_HEADER]
    if not found:
        raise Unread
    return max(s.width for s in found), max(s.height for s in found), len(units)


def code_points(stream: Stream) -> tuple[int, int] | None:
    """Return colour primaries and transfer characteristics (ITU-T H.273) that the sequence header
    of a stream states (AV1, 5.5.2), None where it states none. Raises Unread."""
    for kind, content in _units(stream):
        if kind == SEQUENCE_HEADER:
            bits, profile = _Bits(content), _Bits(content).read(3)
            _sequence(bits)
            bits.read(2)  # filters
            deep = bits.flag()
            bits.read(int(deep and profile == 2) + int(profile != 1))  # 12 bits, monochrome
            return (bits.read(8), bits.read(8)) if bits.flag() else None
    raise Unread


def quantizer_index(stream: Stream) -> int:
    """Return base_q_idx, 0 to 255, of the first frame of a stream (AV1, 5.9.12). Raises Unread."""
    sequence: _Sequence | None = None
    for kind, content in _units(stream):
        if kind == SEQUENCE_HEADER:
            sequence = _sequence(_Bits(content))
        elif kind in FRAME_HEADERS and sequence is not None:
            return _frame_index(_Bits(content), sequence)
    raise Unread


def _units(stream: Stream, most: int = MAX_PARTS) -> Iterator[tuple[int, Stream]]:
    """Yield type and content of each unit of a stream (AV1, 5.3). Raises Unread after `most`."""
    at = 0
    for _ in range(most):
        if at >= len(stream):
            return
        head, at = stream[at], at + (2 if stream[at] & 4 else 1)
        size = len(stream) - at
        if head & 2:
            size, at = _leb128(stream, at)
        yield head >> 3 & 15, stream[at : at + min(size, MAX_HEADER)]
        at += size
    raise Unread


def _leb128(stream: Stream, at: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, lowest first, and where it ends (AV1, 4.10.5)."""
    number = 0
    for i, byte in enumerate(stream[at : at + 8]):
        number |= (byte & 127) << 7 * i
        if byte < 128:
            return number, at + i + 1
    raise Unread


def _sequence(bits: _Bits) -> _Sequence:
    bits.read(3 + 1)  # profile, still picture
    reduced = bits.flag()
    decoder_model = False
    if reduced:
        bits.read(5)  # level
    else:
        decoder_model = _skip_operating_points(bits)
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    return _Sequence(
        reduced=reduced,
        decoder_model=decoder_model,
        width_bits=width_bits,
        height_bits=height_bits,
        width=bits.read(width_bits) + 1,
        height=bits.read(height_bits) + 1,
        id_bits=0 if reduced or not bits.flag() else bits.read(4) + bits.read(3) + 3,
        large_superblocks=bits.flag(),
        tools=_tools(bits, reduced),
        superres=bits.flag(),
    )


def _skip_operating_points(bits: _Bits) -> bool:
    """Read on to the size of the frames; return whether there is a model of the decoder."""
    delay_bits = 0
    if bits.flag():  # timing
        bits.read(32 + 32)
        if bits.flag():  # frames are evenly spaced, by a number coded as in 4.10.3
            bits.read(_zeros(bits))
        if bits.flag():  # decoder model (5.5.4)
            delay_bits = bits.read(5) + 1
            bits.read(32 + 5 + 5)
    delayed = bits.flag()
    for _ in range(bits.read(5) + 1):
        bits.read(12)  # which layers
        if bits.read(5) > 7:  # level
            bits.read(1)  # tier
        if delay_bits and bits.flag():
            bits.read(2 * delay_bits + 1)  # operating parameters (5.5.5)
        if delayed and bits.flag():
            bits.read(4)
    return delay_bits > 0


def _zeros(bits: _Bits) -> int:
    """Read zeros up to a one; return their number. Raises Unread at the 32nd."""
    for count in range(32):
        if bits.flag():
            return count
    raise Unread


def _tools(bits: _Bits, reduced: bool) -> _Tools:
    bits.read(2)  # intra filters
    if reduced:
        return _Tools()
    bits.read(4)  # compounds, warped motion, dual filter
    ordered = bits.flag()
    if ordered:
        bits.read(2)
    screen_content = _choice(bits)
    integer_motion = _choice(bits) if screen_content else 2
    return _Tools(screen_content, integer_motion, bits.read(3) + 1 if ordered else 0)


def _choice(bits: _Bits) -> int:
    """Return 2 if each frame states its own choice, else 0 or 1."""
    return 2 if bits.flag() else bits.read(1)


def _frame_index(bits: _Bits, sequence: _Sequence) -> int:
    """Return base_q_idx of a shown key frame, after the fields before it (AV1, 5.9.2). Raises
    Unread for another frame, and for a stream with a model of its decoder."""
    if sequence.decoder_model:
        raise Unread
    if not sequence.reduced and bits.read(1 + 2 + 1) != 1:  # no earlier frame, key frame, shown
        raise Unread
    fixed = bits.flag()  # its statistics are not adapted
    screen_content = _chosen(bits, sequence.tools.screen_content)
    if screen_content:
        _chosen(bits, sequence.tools.integer_motion)
    bits.read(sequence.id_bits)
    resized = not sequence.reduced and bits.flag()
    bits.read(sequence.tools.order_bits)
    full, width, height = _frame_size(bits, sequence, resized)
    if bits.flag():  # render size
        bits.read(16 + 16)
    if screen_content and full == width:
        bits.read(1)  # copies within the frame
    if not sequence.reduced and not fixed:
        bits.read(1)
    _skip_tiles(bits, sequence.large_superblocks, width, height)
    return bits.read(8)


def _chosen(bits: _Bits, choice: int) -> int:
    return bits.read(1) if choice == 2 else choice


def _frame_size(bits: _Bits, sequence: _Sequence, resized: bool) -> tuple[int, int, int]:
    """Return width, coded width and height in pixels (AV1, 5.9.5 and 5.9.8)."""
    width, height = sequence.width, sequence.height
    if resized:
        width = bits.read(sequence.width_bits) + 1
        height = bits.read(sequence.height_bits) + 1
    coded = width
    if sequence.superres and bits.flag():
        parts = bits.read(3) + 9
        coded = (width * 8 + parts // 2) // parts
    return width, coded, height


def _skip_tiles(bits: _Bits, large: bool, width: int, height: int) -> None:
    """Skip the tile layout of a frame (AV1, 5.9.15)."""
    shift = 7 if large else 6
    columns, rows = (8 * ((n + 7) // 8) + (1 << shift) - 1 >> shift for n in (width, height))
    widest, area = 4096 >> shift, 4096 * 2304 >> 2 * shift
    least_columns = _log2(widest, columns)
    least = max(least_columns, _log2(area, rows * columns))
    if bits.flag():  # evenly
        cuts = least_columns + bits.ones(_log2(1, min(columns, 64)) - least_columns)
        least_rows = max(0, least - cuts)
        cuts += least_rows + bits.ones(_log2(1, min(rows, 64)) - least_rows)
    else:
        sizes = _tile_sizes(bits, columns, widest)
        area = rows * columns >> (least + 1 if least else 0)
        high = _tile_sizes(bits, rows, max(1, area // max(sizes)))
        cuts = _log2(1, len(sizes)) + _log2(1, len(high))
    if cuts:
        bits.read(cuts + 2)


def _tile_sizes(bits: _Bits, total: int, most: int) -> Sequence[int]:
    sizes: list[int] = []
    while total > 0:
        sizes.append(bits.below(min(total, most)) + 1)
        total -= sizes[-1]
    return sizes


def _log2(unit: int, target: int) -> int:
    """Return the number of doublings of a unit that reach a target (AV1, 5.9.16)."""
    return max(0, -(-target // unit) - 1).bit_length()

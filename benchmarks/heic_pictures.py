"""Small HEIC pictures, without an encoder: their HEVC streams hold samples as they are (PCM), so
they are lossless (ITU-T H.265, 7.3.8.7)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Planes = Sequence[NDArray[np.unsignedinteger[Any]]]
"""One to three planes [H, W] of samples."""

BLOCK = 32
"""Side of a coding block."""
RANGES = (
    (128, 176, 208, 240), (128, 167, 197, 227), (128, 158, 187, 216), (123, 150, 178, 205),
    (116, 142, 169, 195), (111, 135, 160, 185), (105, 128, 152, 175), (100, 122, 144, 166),
    (95, 116, 137, 158), (90, 110, 130, 150), (85, 104, 123, 142), (81, 99, 117, 135),
    (77, 94, 111, 128), (73, 89, 105, 122), (69, 85, 100, 116), (66, 80, 95, 110),
    (62, 76, 90, 104), (59, 72, 86, 99), (56, 69, 81, 94), (53, 65, 77, 89),
    (51, 62, 73, 85), (48, 59, 69, 80), (46, 56, 66, 76), (43, 53, 63, 72),
    (41, 50, 59, 69), (39, 48, 56, 65), (37, 45, 54, 62), (35, 43, 51, 59),
    (33, 41, 48, 56), (32, 39, 46, 53), (30, 37, 43, 50), (29, 35, 41, 48),
    (27, 33, 39, 45), (26, 31, 37, 43), (24, 30, 35, 41), (23, 28, 33, 39),
    (22, 27, 32, 37), (21, 26, 30, 35), (20, 24, 29, 33), (19, 23, 27, 31),
    (18, 22, 26, 30), (17, 21, 25, 28), (16, 20, 23, 27), (15, 19, 22, 25),
    (14, 18, 21, 24), (14, 17, 20, 23), (13, 16, 19, 22), (12, 15, 18, 21),
    (12, 14, 17, 20), (11, 14, 16, 19), (11, 13, 15, 18), (10, 12, 15, 17),
    (10, 12, 14, 16), (9, 11, 13, 15), (9, 11, 12, 14), (8, 10, 12, 14),
    (8, 9, 11, 13), (7, 9, 11, 12), (7, 9, 10, 12), (7, 8, 10, 11),
    (6, 8, 9, 11), (6, 7, 9, 10), (6, 7, 8, 9),
)  # fmt: skip
"""Ranges of the less probable symbol by state and range (9.3.4.3.2.2, table 9-52)."""
VIDEO, SEQUENCE, PICTURE, SLICE = 32, 33, 34, 19
"""Types of units: three sets of parameters, and a picture that needs no other."""
MONOCHROME, HALVED, FULL = 0, 1, 3
"""Chroma formats: none, 4:2:0 and 4:4:4."""
RANGE_EXTENSIONS = 4
"""The profile of pictures in 4:4:4."""
IDENTITY = 0
"""The matrix of planes that are green, blue and red."""


class _Bits:
    """A writer of bits."""

    def __init__(self) -> None:
        self._bits: list[str] = []

    def write(self, value: int, count: int) -> None:
        if count:
            self._bits.append(f"{value:0{count}b}")

    def numbers(self, *values: int) -> None:
        """Write numbers in the Exp-Golomb code."""
        for value in values:
            digits = f"{value + 1:b}"
            self._bits.append("0" * (len(digits) - 1) + digits)

    def samples(self, block: NDArray[np.unsignedinteger[Any]], depth: int) -> None:
        """Write samples of `depth` bits each."""
        shifts = np.arange(depth - 1, -1, -1)
        digits = (block.ravel()[:, None].astype(int) >> shifts & 1).astype(np.uint8) + ord("0")
        self._bits.append(digits.tobytes().decode())

    def flags(self, digits: str) -> None:
        self._bits.append(digits)

    def align(self) -> None:
        self._bits = ["".join(self._bits)]
        self._bits.append("0" * (-len(self._bits[0]) % 8))

    def unit(self, kind: int) -> bytes:
        """Return the unit that ends here, with the bytes that keep it free of start codes."""
        self.align()
        digits = "".join(self._bits)
        content = int(digits, 2).to_bytes(len(digits) // 8)
        return struct.pack(">H", kind << 9 | 1) + _escaped(content)


def _escaped(content: bytes) -> bytes:
    made, zeros = bytearray(), 0
    for byte in content:
        if zeros >= 2 and byte <= 3:
            made.append(3)
            zeros = 0
        made.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(made)


class _Arithmetic:
    """The arithmetic coder (9.3.4.3), for one context whose more probable symbol is written."""

    def __init__(self, bits: _Bits) -> None:
        self._bits = bits
        self._state = 0
        self.start()

    def start(self) -> None:
        self._low, self._range, self._first, self._outstanding = 0, 510, True, 0

    def probable(self) -> None:
        """Write the more probable symbol."""
        self._range -= RANGES[self._state][self._range >> 6 & 3]
        self._state = min(self._state + 1, len(RANGES) - 1)
        self._renormalise()

    def terminate(self, end: bool) -> None:
        """Write a symbol that ends the coding if it is 1."""
        self._range -= 2
        if not end:
            self._renormalise()
            return
        self._low += self._range
        self._range = 2
        self._renormalise()
        self._put(self._low >> 9 & 1)
        self._bits.write(self._low >> 7 & 3 | 1, 2)

    def _renormalise(self) -> None:
        while self._range < 256:
            if self._low < 256:
                self._put(0)
            elif self._low >= 512:
                self._low -= 512
                self._put(1)
            else:
                self._low -= 256
                self._outstanding += 1
            self._range <<= 1
            self._low <<= 1

    def _put(self, bit: int) -> None:
        if not self._first:
            self._bits.write(bit, 1)
        self._first = False
        self._bits.flags(f"{1 - bit}" * self._outstanding)
        self._outstanding = 0


@dataclass(frozen=True)
class Coded:
    """A coded picture: its parameters and its slice."""

    width: int
    height: int
    chroma: int
    bits: int
    units: tuple[bytes, bytes, bytes]
    slice: bytes

    def configuration(self) -> bytes:
        """Return the content of the property hvcC (ISO/IEC 14496-15, 8.3.3.1.2)."""
        head = (
            bytes((1, RANGE_EXTENSIONS)) + struct.pack(">I", 1 << 27) + bytes((0x90, *bytes(5), 90))
        )
        depth = 0xF8 | self.bits - 8
        head += struct.pack(">HBBBBHB", 0xF000, 0xFC, 0xFC | self.chroma, depth, depth, 0, 0x0F)
        kinds = zip((VIDEO, SEQUENCE, PICTURE), self.units, strict=True)
        arrays = (struct.pack(">BHH", 0x80 | kind, 1, len(unit)) + unit for kind, unit in kinds)
        return head + b"\3" + b"".join(arrays)


def coded(planes: Planes, bits: int = 8) -> Coded:
    """Return a coded picture of luma alone, or of three planes, the last two of full or of half
    the size."""
    height, width = planes[0].shape
    chroma = MONOCHROME
    if len(planes) == 3:
        chroma = FULL if planes[1].shape == planes[0].shape else HALVED
    units = _video(), _sequence(width, height, chroma, bits), _picture_parameters()
    return Coded(width, height, chroma, bits, units, _slice(planes, bits))


def _profile(bits: _Bits) -> None:
    bits.write(RANGE_EXTENSIONS, 8)
    bits.write(1 << 27, 32)  # compatible with itself alone
    bits.flags("1001")  # progressive frames
    bits.write(0, 44)
    bits.write(90, 8)  # level 3


def _video() -> bytes:
    bits = _Bits()
    bits.write(0, 4)
    bits.flags("11")
    bits.write(0, 9)
    bits.flags("1")
    bits.write(0xFFFF, 16)
    _profile(bits)
    bits.flags("1")
    bits.numbers(0, 0, 0)
    bits.write(0, 6)
    bits.numbers(0)
    bits.flags("001")
    return bits.unit(VIDEO)


def _sequence(width: int, height: int, chroma: int, depth: int) -> bytes:
    bits = _Bits()
    bits.write(1, 8)
    _profile(bits)
    bits.numbers(0, chroma)
    if chroma == FULL:
        bits.flags("0")
    bits.numbers(_whole(width), _whole(height))
    unit = 2 if chroma == HALVED else 1
    bits.flags("1")
    bits.numbers(0, (_whole(width) - width) // unit, 0, (_whole(height) - height) // unit)
    bits.numbers(depth - 8, depth - 8, 0)
    bits.flags("1")
    bits.numbers(0, 0, 0)
    bits.numbers(2, 0, 0, 3, 0, 0)  # blocks of 32, transforms of 4 to 32
    bits.flags("0001")  # no lists, no asymmetry, no offsets, but PCM
    bits.write(depth - 1, 4)
    bits.write(depth - 1, 4)
    bits.numbers(2, 0)
    bits.flags("1")
    bits.numbers(0)
    bits.flags("000001")
    return bits.unit(SEQUENCE)


def _picture_parameters() -> bytes:
    bits = _Bits()
    bits.numbers(0, 0)
    bits.flags("0000000")
    bits.numbers(0, 0, 0)
    bits.flags("000")
    bits.numbers(0, 0)
    bits.flags("0000000")
    bits.flags("101")  # no filter between blocks
    bits.flags("00")
    bits.numbers(0)
    bits.flags("001")
    return bits.unit(PICTURE)


def _whole(side: int) -> int:
    return -(-side // BLOCK) * BLOCK


def _slice(planes: Planes, depth: int) -> bytes:
    bits = _Bits()
    bits.flags("10")
    bits.numbers(0, 2, 0)
    bits.flags("1")
    bits.align()
    coder = _Arithmetic(bits)
    height, width = planes[0].shape
    places = [(y, x) for y in range(0, height, BLOCK) for x in range(0, width, BLOCK)]
    for place in places:
        coder.probable()  # one part
        coder.terminate(True)  # PCM
        bits.align()
        for plane in planes:
            part = planes[0].shape[1] // plane.shape[1]
            bits.samples(_block(plane, place, part), depth)
        coder.start()
        coder.terminate(place == places[-1])
    return bits.unit(SLICE)


def _block(
    plane: NDArray[np.unsignedinteger[Any]], place: tuple[int, int], part: int
) -> NDArray[np.unsignedinteger[Any]]:
    side, (y, x) = BLOCK // part, (at // part for at in place)
    block = plane[y : y + side, x : x + side]
    missing = [(0, side - length) for length in block.shape]
    return np.pad(block, missing, mode="edge")


def box(kind: bytes, *parts: bytes) -> bytes:
    """Return a box of an ISO base media file."""
    content = b"".join(parts)
    return struct.pack(">I", 8 + len(content)) + kind + content


def full_box(kind: bytes, *parts: bytes, version: int = 0, flags: int = 0) -> bytes:
    """Return a box with version and flags."""
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


@dataclass(frozen=True)
class Item:
    """An item of a file, numbered by its place, counted from 1."""

    kind: bytes
    content: bytes
    properties: tuple[bytes, ...] = ()
    references: tuple[tuple[bytes, tuple[int, ...]], ...] = ()
    """Types of references, each with the items that it points to."""
    media_type: bytes = b""


def picture_item(
    picture: Coded, *properties: bytes, references: tuple[tuple[bytes, tuple[int, ...]], ...] = ()
) -> Item:
    """Return the item of a coded picture, with properties beside configuration and size."""
    size = full_box(b"ispe", struct.pack(">II", picture.width, picture.height))
    own = box(b"hvcC", picture.configuration()), size
    content = struct.pack(">I", len(picture.slice)) + picture.slice
    return Item(b"hvc1", content, (*own, *properties), references)


def grid_item(
    rows: int, columns: int, width: int, height: int, tiles: tuple[int, ...], *properties: bytes
) -> Item:
    """Return the item of a picture that is put together from tiles."""
    content = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)
    size = full_box(b"ispe", struct.pack(">II", width, height))
    return Item(b"grid", content, (size, *properties), ((b"dimg", tiles),))


def nclx(primaries: int, transfer: int, matrix: int = IDENTITY) -> bytes:
    """Return the property of code points, of full range."""
    return box(b"colr", b"nclx" + struct.pack(">HHHB", primaries, transfer, matrix, 0x80))


ALPHA_OF_HEIC = full_box(b"auxC", b"urn:mpeg:hevc:2015:auxid:1\0")
"""The property of a picture that is another one's transparency."""


def heic(items: Sequence[Item], primary: int = 1) -> bytes:
    """Return a file of items."""
    head = box(b"ftyp", b"heic\0\0\0\0mif1heic")
    start = len(head) + len(_meta(items, primary, 0)) + 8
    return head + _meta(items, primary, start) + box(b"mdat", *(item.content for item in items))


def _meta(items: Sequence[Item], primary: int, start: int) -> bytes:
    handler = full_box(b"hdlr", bytes(4) + b"pict" + bytes(13))
    entries = [
        full_box(
            b"infe",
            struct.pack(">HH", number, 0) + item.kind + b"\0",
            item.media_type + b"\0" if item.media_type else b"",
            version=2,
        )
        for number, item in enumerate(items, 1)
    ]
    return full_box(
        b"meta",
        handler,
        full_box(b"pitm", struct.pack(">H", primary)),
        full_box(b"iinf", struct.pack(">H", len(items)), *entries),
        full_box(b"iloc", struct.pack(">BBH", 0x44, 0, len(items)), *_places(items, start)),
        _properties(items),
        full_box(b"iref", *_references(items)),
    )


def _places(items: Sequence[Item], start: int) -> Iterable[bytes]:
    for number, item in enumerate(items, 1):
        yield struct.pack(">HHHII", number, 0, 1, start, len(item.content))
        start += len(item.content)


def _references(items: Sequence[Item]) -> Iterable[bytes]:
    for number, item in enumerate(items, 1):
        for kind, targets in item.references:
            count = len(targets)
            yield box(kind, struct.pack(f">HH{count}H", number, count, *targets))


def _properties(items: Sequence[Item]) -> bytes:
    shared = list(dict.fromkeys(one for item in items for one in item.properties))
    links = []
    for number, item in enumerate(items, 1):
        places = (shared.index(one) + 1 for one in item.properties)
        essential = bytes(place | 0x80 for place in places)
        links.append(struct.pack(">HB", number, len(essential)) + essential)
    table = full_box(b"ipma", struct.pack(">I", len(items)), *links)
    return box(b"iprp", box(b"ipco", *shared), table)

"""The directories of a TIFF (TIFF 6.0, section 2), read where they lie, and its header."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

from images.containers.common import MAX_PARTS, Unread
from images.directories import ENTRY, INTEGERS, SIZES

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
OFFSETS, ORIENTATION, SAMPLES, ROWS, COUNTS = 273, 274, 277, 278, 279
X_RESOLUTION, Y_RESOLUTION, PLANES, RESOLUTION_UNIT, PREDICTOR = 282, 283, 284, 296, 317
COLOUR_MAP, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS = 320, 322, 323, 324, 325
SUB_DIRECTORIES, EXTRA, SAMPLE_FORMAT = 330, 338, 339
KIND, JPEG_TABLES, XMP, IPTC, PHOTOSHOP, PROFILE = 254, 347, 700, 33723, 34377, 34675
DEPTH = 32997
EXIF, GPS, INTEROP = 34665, 34853, 40965
"""Tags, by the names of what they hold."""

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, YCBCR = 0, 1, 2, 3, 6
JPEG, DEFLATE = 7, 8
FAX = (2, 3, 4)
READ_COMPRESSIONS = (1, *FAX, 5, JPEG, DEFLATE, 32773, 32946)
"""None, three of fax, LZW, JPEG, Deflate, PackBits, and the older number of Deflate."""
ASSOCIATED, UNASSOCIATED = 1, 2
"""Kinds of transparency: colours that are multiplied by it, and colours that are not."""
REDUCED = 1
"""Bit of a page that is a small copy of another one."""
LARGEST_TILE_SIDE = 1 << 16
MAX_ENTRIES = 1 << 17
"""Of all directories of a chain together, which may overlap: more than MAX_PARTS pages have."""
MOST_EXTRA = 2
"""Samples of a pixel beside its colours."""

_BITS = {
    WHITE_IS_ZERO: (1, 2, 4, 8, 16),
    BLACK_IS_ZERO: (1, 2, 4, 8, 16),
    RGB: (8, 16),
    PALETTE: (1, 2, 4, 8),
    YCBCR: (8,),
}
"""Bits of a sample that are read, by the meaning of samples."""
_ONLY_ONE = {SAMPLE_FORMAT: "whose samples are no unsigned integers", DEPTH: "of several layers"}
"""Fields that must be 1 if they are there, and what another value means."""
_UNREAD_COLOURS = {4: "a mask", 5: "CMYK", 8: "Lab", 9: "Lab", 10: "Lab", 32803: "raw data"}


@dataclass(frozen=True)
class Field:
    """One entry of a directory."""

    kind: int
    """Type of its values."""
    count: int
    at: int
    """Position of the first value."""

    @property
    def size(self) -> int:
        """Bytes of all values."""
        return SIZES.get(self.kind, 1) * self.count


class TiffFile:
    """A file whose directories are read with bounded work. Raises Unread for another file."""

    def __init__(self, data: bytes) -> None:
        orders = {b"II*\0": "<", b"MM\0*": ">"}
        if data[:4] not in orders:
            raise Unread
        self._data = data
        self.order = orders[data[:4]]
        """As in `struct`: < for the lowest byte first."""
        self.first = self._number("I", 4)
        """Position of the first directory."""

    def pages(self) -> list[int]:
        """Return the positions of the directories of pages, without small copies of others. A chain
        that leads back, or to what is no directory, ends there: the pages before are whole. Raises
        Unread for none, and as `chain`."""
        found = {
            at: self.number(fields.get(KIND), 0) & REDUCED
            for at, fields in self.chain()
            if {WIDTH, HEIGHT} <= fields.keys()
        }
        if not found:
            raise Unread
        return [at for at, reduced in found.items() if not reduced] or list(found)[:1]

    def place_of(self, page: int) -> int:
        """Return which directory of the chain, counted from 0, begins at a position."""
        at, place = self.first, 0
        while at != page:
            at = self._next(at)
            place += 1
        return place

    def entries(self, at: int) -> int:
        """Return the number of entries of a directory. Raises Unread."""
        return self._number("H", at)

    def directory(self, at: int) -> dict[int, Field]:
        """Return the entries of a directory by tag, the first of each. Raises Unread for more than
        MAX_PARTS."""
        count = self.entries(at)
        if count > MAX_PARTS:
            raise Unread
        found: dict[int, Field] = {}
        for start in range(at + 2, at + 2 + ENTRY * count, ENTRY):
            tag, kind, number = self._numbers("HHI", start)
            size = SIZES.get(kind, 1) * number
            place = start + 8 if size <= 4 else self._number("I", start + 8)
            found.setdefault(tag, Field(kind, number, place))
        return found

    def content(self, field: Field | None, most: int) -> bytes:
        """Return the bytes of a field's values; b"" for those that lie outside the file, and for
        more than `most`."""
        if field is None or field.size > most or field.at + field.size > len(self._data):
            return b""
        return self._data[field.at : field.at + field.size]

    def values(self, field: Field | None, most: int) -> tuple[int, ...]:
        """Return unsigned integers; none of another type, outside the file, or beyond `most`."""
        if field is None or field.kind not in INTEGERS or field.count > most:
            return ()
        content = self.content(field, field.size)
        letter = {1: "B", 2: "H", 4: "I"}[SIZES[field.kind]]
        return struct.unpack(f"{self.order}{field.count}{letter}", content) if content else ()

    def number(self, field: Field | None, default: int) -> int:
        """Return the only or first value of a field of unsigned integers."""
        one = field if field is None else Field(field.kind, min(field.count, 1), field.at)
        return next(iter(self.values(one, 1)), default)

    def chain(self) -> Iterator[tuple[int, dict[int, Field]]]:
        """Yield the directories that follow each other, with their positions, until one is none.
        Raises Unread for more than MAX_PARTS, and for more than MAX_ENTRIES in them."""
        seen, at, entries = set[int](), self.first, 0
        while at and at not in seen:
            seen.add(at)
            try:
                entries += self.entries(at)
                fields = self.directory(at) if entries <= MAX_ENTRIES else {}
                following = self._next(at)
            except Unread:
                return
            if len(seen) > MAX_PARTS or entries > MAX_ENTRIES:
                raise Unread
            yield at, fields
            at = following

    def _next(self, at: int) -> int:
        """Return the position of the directory behind another one, 0 where there is none."""
        return self._number("I", at + 2 + ENTRY * self._number("H", at))

    def _number(self, letter: str, at: int) -> int:
        return self._numbers(letter, at)[0]

    def _numbers(self, letters: str, at: int) -> tuple[int, ...]:
        try:
            return struct.unpack_from(f"{self.order}{letters}", self._data, at)
        except struct.error:
            raise Unread from None


@dataclass(frozen=True)
class TiffHeader:
    """What one page states. Sizes are in pixels before `orientation` is applied."""

    pages: int
    """Of the whole file, without small copies of others."""
    directory: int
    """Which directory of the chain the page is, counted from 0."""
    at: int
    """Position of the directory."""
    width: int
    height: int
    orientation: int
    """As in EXIF, 1 to 8."""
    photometric: int
    compression: int
    bits: int
    """Per sample."""
    samples: int
    """Per pixel, also those that mean nothing."""
    alpha: int
    """ASSOCIATED, UNASSOCIATED, or 0 where there is no transparency."""
    alpha_at: int
    """Which sample of a pixel it is, counted from 0."""
    separate: bool
    """Samples lie in planes of their own."""
    coded: tuple[int, int]
    """Width and height of all tiles together, or of the picture."""
    unread: str | None = None
    """What makes it a kind that is not read."""

    @property
    def colours(self) -> int:
        """Channels of a decoded pixel without alpha: 1 for grey, else 3."""
        return 1 if self.photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO) else 3

    @property
    def stored_colours(self) -> int:
        """The samples of a pixel that are colours, or a place in the palette."""
        return 1 if self.photometric == PALETTE else self.colours


def read_tiff(data: bytes, page: int = 0) -> TiffHeader:
    """Read the header of a page, counted from 0; of the last one where there are fewer. Raises
    Unread."""
    file = TiffFile(data)
    pages = file.pages()
    at = pages[min(page, len(pages) - 1)]
    return _Page(file, file.directory(at)).header(len(pages), file.place_of(at), at)


def all_pixels(data: bytes) -> int:
    """Return the pixels of all pages together, with small copies and the pictures below pages.
    Raises Unread."""
    file = TiffFile(data)
    pages = [fields for _, fields in file.chain()]
    below = {at for page in pages for at in file.values(page.get(SUB_DIRECTORIES), MAX_PARTS)}
    if sum(file.entries(at) for at in below) > MAX_ENTRIES:
        raise Unread
    return sum(
        file.number(one.get(WIDTH), 0) * file.number(one.get(HEIGHT), 0)
        for one in (*pages, *(file.directory(at) for at in below))
    )


class _Page:
    def __init__(self, file: TiffFile, fields: dict[int, Field]) -> None:
        self._file = file
        self._fields = fields

    def header(self, pages: int, directory: int, at: int) -> TiffHeader:
        width, height = self._one(WIDTH, 0), self._one(HEIGHT, 0)
        samples = self._one(SAMPLES, 1)
        if not (width and height and 0 < samples <= MAX_PARTS):
            raise Unread
        depths = self._file.values(self._fields.get(BITS), MAX_PARTS) or (1,)
        orientation = self._one(ORIENTATION, 1)
        header = TiffHeader(
            pages=pages,
            directory=directory,
            at=at,
            width=width,
            height=height,
            orientation=orientation if 1 <= orientation <= 8 else 1,
            photometric=self._photometric(samples),
            compression=self._one(COMPRESSION, 1),
            bits=depths[0],
            samples=samples,
            alpha=0,
            alpha_at=0,
            separate=samples > 1 and self._one(PLANES, 1) == 2,
            coded=self._coded(width, height),
        )
        reason = next(self._reasons(header, depths), None)
        if reason is None:
            self._check_parts(header)
        alpha_at, alpha = self._alpha(header)
        return replace(header, alpha=alpha, alpha_at=alpha_at, unread=reason)

    def _one(self, tag: int, default: int) -> int:
        return self._file.number(self._fields.get(tag), default)

    def _photometric(self, samples: int) -> int:
        """Return the meaning of samples; libtiff's guess where none is stated."""
        fax = self._one(COMPRESSION, 1) in FAX
        guess = RGB if samples >= 3 else WHITE_IS_ZERO if fax else BLACK_IS_ZERO
        return self._one(PHOTOMETRIC, guess)

    def _alpha(self, header: TiffHeader) -> tuple[int, int]:
        """Return the first sample beside the colours that is transparency, and of which kind;
        twice 0 where none is."""
        kinds = self._file.values(self._fields.get(EXTRA), MAX_PARTS)
        for place, kind in enumerate(kinds, header.stored_colours):
            if place < header.samples and kind in (ASSOCIATED, UNASSOCIATED):
                return place, kind
        return 0, 0

    def _coded(self, width: int, height: int) -> tuple[int, int]:
        if TILE_WIDTH not in self._fields:
            return width, height
        sides = self._one(TILE_WIDTH, 0), self._one(TILE_HEIGHT, 0)
        if not all(0 < side <= LARGEST_TILE_SIDE for side in sides):
            raise Unread
        return -(-width // sides[0]) * sides[0], -(-height // sides[1]) * sides[1]

    def _reasons(self, header: TiffHeader, depths: tuple[int, ...]) -> Iterator[str]:
        """Yield why a page is not read."""
        colours, method = header.photometric, header.compression
        if colours not in _BITS:
            other = f"a kind of its own ({colours})"
            yield f"with colours in {_UNREAD_COLOURS.get(colours, other)}"
        elif header.bits not in _BITS[colours] or len(set(depths)) > 1:
            yield f"with samples of {' and '.join(str(d) for d in sorted(set(depths)))} bits"
        yield from (other for tag, other in _ONLY_ONE.items() if self._one(tag, 1) != 1)
        if method not in READ_COMPRESSIONS:
            yield f"compressed by method {method}"
        if colours == YCBCR and method != JPEG:
            yield "in YCbCr without JPEG compression"
        if not 0 <= header.samples - header.stored_colours <= MOST_EXTRA:
            yield f"with {header.samples} samples in a pixel"
        if method == JPEG and header.samples == 2:
            yield "in JPEG with two samples in a pixel"

    def _check_parts(self, header: TiffHeader) -> None:
        """Raise Unread where strips or tiles have no positions, or a palette is missing. A strip
        that lies outside the file is found when it is decoded."""
        offsets = self._fields.get(TILE_OFFSETS if TILE_WIDTH in self._fields else OFFSETS)
        no_palette = header.photometric == PALETTE and COLOUR_MAP not in self._fields
        if offsets is None or not offsets.count or no_palette:
            raise Unread

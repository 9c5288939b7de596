"""The quality of an AVIF: the container (ISO/IEC 14496-12 and 23008-12) to the first picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from images.compression.av1 import quantizer_index
from images.compression.common import MAX_PARTS, Unread, interpolate

HEADER_BYTES = 1 << 16
"""How much of a coded AV1 picture is searched for its header."""


_QUALITY: Sequence[tuple[float, float]] = (
    (0, 99), (44, 94), (88, 88), (116, 80), (148, 58), (176, 27), (212, 12), (255, 5),
)  # fmt: skip
"""base_q_idx of an AV1 frame, and the quality of a JPEG that is as damaged: measured as for WebP,
at every third quality, with libaom tuned for pictures and as it was before (iq and ssim). One
of 12 others is off by 0.07 in strength (root mean square). The index means the same at 10 bits.
"""


def quality_of_avif(data: bytes) -> float | None:
    start, end = _first_coded(data)
    index = quantizer_index(data[start : min(end, start + HEADER_BYTES)])
    return None if index == 0 else interpolate(_QUALITY, index)


@dataclass(frozen=True)
class _Box:
    start: int
    """Where its content begins."""
    end: int


def _first_coded(data: bytes) -> tuple[int, int]:
    """Return start and end in the file of the primary item, or of the first that it is derived
    from, as a grid is from its tiles."""
    meta = _boxes(data, 0, len(data)).get(b"meta")
    if meta is None:
        raise Unread
    boxes = _boxes(data, meta.start + 4, meta.end)
    if not {b"pitm", b"iloc"} <= boxes.keys():
        raise Unread
    pitm = _Fields(data, boxes[b"pitm"])
    primary = pitm.read(2 if pitm.version() == 0 else 4)
    item = _source(data, boxes[b"iref"], primary) if b"iref" in boxes else primary
    return _place(_Fields(data, boxes[b"iloc"]), item, boxes.get(b"idat"))


def _boxes(data: bytes, at: int, end: int) -> dict[bytes, _Box]:
    """Return the first box of each type in a range (ISO/IEC 14496-12, 4.2)."""
    return dict(reversed(list(_walk(data, at, end))))


def _walk(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, _Box]]:
    for _ in range(MAX_PARTS):
        if at + 8 > end:
            return
        size, head = int.from_bytes(data[at : at + 4]), 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16]), 16
        if size == 0:
            size = end - at
        if size < head or at + size > end:
            return
        yield data[at + 4 : at + 8], _Box(at + head, at + size)
        at += size


class _Fields:
    """The numbers in a box, one after the other."""

    def __init__(self, data: bytes, box: _Box) -> None:
        self._data = data
        self._box = box
        self._at = box.start

    def read(self, size: int) -> int:
        """Return the next number of so many bytes, 0 for none. Raises Unread beyond the end."""
        start, self._at = self._at, self._at + size
        if self._at > self._box.end:
            raise Unread
        return int.from_bytes(self._data[start : self._at])

    def skip(self, size: int) -> None:
        self._at += size

    def version(self) -> int:
        """Return the version of a full box, with which it begins."""
        return self.read(4) >> 24


def _source(data: bytes, references: _Box, item: int) -> int:
    """Return the first item that an item is derived from, or itself (ISO/IEC 14496-12, 8.11.12)."""
    size = 2 if data[references.start : references.start + 1] == b"\0" else 4
    for kind, box in _walk(data, references.start + 4, references.end):
        fields = _Fields(data, box)
        if kind == b"dimg" and fields.read(size) == item and fields.read(2):
            return fields.read(size)
    return item


def _place(iloc: _Fields, item: int, idat: _Box | None) -> tuple[int, int]:
    """Return start and end in the file of an item's first extent (ISO/IEC 14496-12, 8.11.3)."""
    version, sizes = iloc.version(), iloc.read(2)
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version else 0
    for _ in range(min(MAX_PARTS, iloc.read(4 if version == 2 else 2))):
        found = iloc.read(4 if version == 2 else 2) == item
        method = iloc.read(2) & 15 if version else 0
        iloc.skip(2)  # the file that holds it: this one
        base, extents = iloc.read(base_size), iloc.read(2)
        if not found:
            iloc.skip(extents * (index_size + offset_size + length_size))
            continue
        iloc.skip(index_size)
        return _extent(base + iloc.read(offset_size), iloc.read(length_size), method, idat)
    raise Unread


def _extent(offset: int, length: int, method: int, idat: _Box | None) -> tuple[int, int]:
    if method == 1 and idat is not None:
        offset += idat.start
    elif method:
        raise Unread
    return offset, offset + length if length else 1 << 62  # no length: up to the end

"""Data sets of IPTC-IIM (IPTC Information Interchange Model 4.2), read and filtered as bytes."""

from __future__ import annotations

from collections.abc import Iterator

from images.containers.common import MAX_PARTS

MAX_BYTES = 1 << 16
"""Of all data sets; a JPEG holds no more in one segment."""
MARKER = 0x1C
CHARACTERS, VERSION = (1, 90), (2, 0)
BYLINE, CREDIT, SOURCE, COPYRIGHT = (2, 80), (2, 110), (2, 115), (2, 116)
RIGHTS = frozenset({BYLINE, CREDIT, SOURCE, COPYRIGHT})
"""What states author and copyright."""
_NEEDED = frozenset({CHARACTERS, VERSION})
"""What the others are read by."""
_PREVIEWS = frozenset({(2, 125), (2, 200), (2, 201), (2, 202)})
"""A caption as pixels, and a small copy of the picture before it was enlarged."""
_DESCRIPTIVE = range(1, 7)
"""Records of facts; those behind them hold a whole file."""
UTF_8 = b"\x1b%G"

DataSet = tuple[tuple[int, int], bytes]
"""Record and number, and the value."""


def cleaned(data: bytes) -> bytes:
    """Return all data sets that stay true; b"" for more than MAX_BYTES."""
    kept = [(key, value) for key, value in _data_sets(data) if key not in _PREVIEWS]
    return _written([(key, value) for key, value in kept if key[0] in _DESCRIPTIVE])


def rights(data: bytes) -> bytes:
    """Return the data sets that state author and copyright, b"" where none does."""
    found = list(_data_sets(data))
    if not any(key in RIGHTS for key, _ in found):
        return b""
    return _written([(key, value) for key, value in found if key in RIGHTS | _NEEDED])


def values(data: bytes, wanted: tuple[int, int]) -> list[str]:
    """Return the values of all data sets of one record and number as text."""
    found = list(_data_sets(data))
    unicode = any(key == CHARACTERS and value == UTF_8 for key, value in found)
    encoding = "utf-8" if unicode else "latin-1"
    return [value.decode(encoding, "replace") for key, value in found if key == wanted]


def _data_sets(data: bytes) -> Iterator[DataSet]:
    """Yield data sets up to the first damaged one (chapter 3, section 1.5)."""
    at = 0
    for _ in range(MAX_PARTS if len(data) <= MAX_BYTES else 0):
        if at + 5 > len(data) or data[at] != MARKER:
            return
        start, size = at + 5, int.from_bytes(data[at + 3 : at + 5])
        if size >> 15:  # an extended one, whose size has a size
            start += size & 0x7FFF
            if start > len(data):
                return
            size = int.from_bytes(data[at + 5 : start])
        if start + size > len(data):
            return
        yield (data[at + 1], data[at + 2]), data[start : start + size]
        at = start + size


def _written(found: list[DataSet]) -> bytes:
    return b"".join(_data_set(*key, value) for key, value in found)


def _data_set(record: int, number: int, value: bytes) -> bytes:
    size = len(value).to_bytes(2) if len(value) < 1 << 15 else b"\x80\x04" + len(value).to_bytes(4)
    return bytes((MARKER, record, number)) + size + value

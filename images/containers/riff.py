"""The chunks of a WebP (RFC 9649, 2.3)."""

from __future__ import annotations

from collections.abc import Iterator

from images.containers.common import MAX_PARTS, Unread

HEAD = 12
"""Bytes before the first chunk."""
PICTURES = frozenset({b"VP8 ", b"VP8L", b"ANMF"})
KNOWN = PICTURES | {b"VP8X", b"ICCP", b"ALPH", b"ANIM", b"EXIF", b"XMP "}


def riff_end(data: bytes) -> int:
    """Return where the file ends by its own account; decoders read nothing behind it."""
    return 8 + int.from_bytes(data[4:8], "little")


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, start and end of the content of each chunk. Raises Unread after MAX_PARTS."""
    at, stop = HEAD, min(len(data), riff_end(data))
    for _ in range(MAX_PARTS):
        if at + 8 > stop:
            return
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], at + 8, at + 8 + size
        at += 8 + size + size % 2
    raise Unread


def mended(data: bytes) -> bytes:
    """Return a WebP whose account of its length is that of its whole chunks; the file itself where
    it is right, and where no picture is whole.

    Metadata behind the picture that are cut by the end of the file are left out.
    """
    ends = list(_whole_ends(data))
    if not ends or riff_end(data) in ends:
        return data
    body = data[8 : ends[-1]].ljust(ends[-1] - 8, b"\0")  # a byte of padding may be missing
    return data[:4] + len(body).to_bytes(4, "little") + body


def _whole_ends(data: bytes) -> Iterator[int]:
    """Yield where each whole known chunk ends from the first picture on, whatever length the file
    states of itself."""
    at, shown = HEAD, False
    for _ in range(MAX_PARTS):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        kind = data[at : at + 4]
        if kind not in KNOWN or at + 8 + size > len(data):
            return
        shown = shown or kind in PICTURES
        at += 8 + size + size % 2
        if shown:
            yield at

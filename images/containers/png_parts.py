"""What decoders see of a PNG: trouble beside the pixels (a damaged text, a profile of megabytes, a
missing end) is left out, so that it never costs the picture.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from images.containers.common import Unread
from images.containers.png import SIGNATURE, chunks, is_intact

PIXELS, END = b"IDAT", b"IEND"
DECODED = frozenset({b"IHDR", b"PLTE", b"tRNS", PIXELS, END})
"""The chunks that make the samples; all others are read by us, or not at all."""
MOVING = frozenset({b"acTL", b"fcTL", b"fdAT"})
"""Those that make the frames of an animation."""
MAX_PROFILE_BYTES = 4 << 20
"""Of an ICC profile; printers' tables have up to two million."""
MAX_TEXT_BYTES = 1 << 20
"""Of one inflated text."""
MAX_TEXTS_BYTES = 8 << 20
"""Of all texts of a header."""
_LENGTHS = {
    b"gAMA": 4,
    b"cHRM": 32,
    b"sRGB": 1,
    b"cICP": 4,
    b"pHYs": 9,
    b"tIME": 7,
}
"""The length of a chunk's content; parsers stumble over others."""
_TRANSPARENT_LENGTHS = {0: (2, 2), 2: (6, 6), 3: (1, 256)}
"""The least and the most bytes of tRNS by colour type (ISO/IEC 15948, 11.3.2.1)."""

Chunk = tuple[bytes, int, int]


def unknown_critical(data: bytes) -> bytes | None:
    """Return the type of the first chunk that changes the meaning of the pixels in a way that this
    project does not know (ISO/IEC 15948, 5.4), such as Apple's CgBI; None in an ordinary PNG."""
    for kind, start, end in chunks(data):
        named = kind.isalpha() and kind[:1].isupper()
        if named and kind not in DECODED and is_intact(data, start, end):
            return kind
        if kind == PIXELS:
            break
    return None


def head(data: bytes) -> bytes:
    """Return the part before the pixels and the start of these, without ancillary chunks that are
    damaged or inflate to more than their bounds. Raises Unread for a file without pixels."""
    kept, left = [SIGNATURE], MAX_TEXTS_BYTES
    for kind, start, end in chunks(data):
        if kind == PIXELS:
            kept.append(data[start - 8 : start])
            return b"".join(kept)
        if kind not in (b"IHDR", b"PLTE"):
            if not _is_sound(data, kind, start, end):
                continue
            size = _text_bytes(data, kind, start, end)
            if size > left:
                continue
            left -= size
        kept.append(data[start - 8 : end + 4])
    raise Unread


def for_decoder(data: bytes) -> bytes:
    """Return the file with nothing but the chunks that make its samples, and with an end; the file
    itself where it is so. A last chunk of pixels that is cut gets the length that it has."""
    parts = list(_decoded_parts(data))
    if parts and parts[-1][0] == END and sum(end - at for _, at, end in parts) + 8 == len(data):
        return data
    view, written = memoryview(data), [memoryview(SIGNATURE)]
    for kind, at, end in parts:
        whole = end <= len(data)
        part = view[at:end] if whole else _completed(kind, data[at + 8 : end - 4])
        written.append(memoryview(part))
    if not parts or parts[-1][0] != END:
        written.append(memoryview(chunk(END, b"")))
    return b"".join(written)


def for_animation(data: bytes) -> bytes:
    """Return the file with nothing but the chunks that make its frames."""
    found = chunks(data)
    kept = (data[at - 8 : end + 4] for kind, at, end in found if kind in DECODED | MOVING)
    return SIGNATURE + b"".join(kept)


def profile(data: bytes) -> bytes | None:
    """Return the ICC profile, None where there is none within MAX_PROFILE_BYTES that is whole
    (ISO/IEC 15948, 11.3.3.3)."""
    for kind, start, end in chunks(data):
        if kind == PIXELS:
            return None
        if kind == b"iCCP" and is_intact(data, start, end):
            _, _, packed = data[start:end].partition(b"\0")
            return _inflated(packed[1:], MAX_PROFILE_BYTES) if packed[:1] == b"\0" else None
    return None


def _decoded_parts(data: bytes) -> Iterator[Chunk]:
    """Yield type, start and end, length and checksum included, of what makes the samples."""
    for kind, start, end in chunks(data):
        if kind in DECODED and (kind != b"tRNS" or _is_sound(data, kind, start, end)):
            yield kind, start - 8, end + 4
        if kind == END:
            return


def _completed(kind: bytes, content: bytes) -> bytes:
    """Return a chunk that the file's end has cut, of what is there: libpng tells whether the pixels
    suffice."""
    return chunk(kind, content) if kind in (PIXELS, END) else b""


def chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk with its length and checksum."""
    head = struct.pack(">I", len(content)) + kind + content
    return head + struct.pack(">I", zlib.crc32(kind + content))


def _is_sound(data: bytes, kind: bytes, start: int, end: int) -> bool:
    """Return whether an ancillary chunk is whole, of a length that parsers expect, and no profile,
    which `profile` reads."""
    length = end - start
    least, most = _LENGTHS.get(kind, 0), _LENGTHS.get(kind, MAX_TEXT_BYTES)
    if kind == b"tRNS":
        least, most = _TRANSPARENT_LENGTHS.get(data[25], (1, 0))
    return kind != b"iCCP" and least <= length <= most and is_intact(data, start, end)


def _text_bytes(data: bytes, kind: bytes, start: int, end: int) -> int:
    """Return the bytes of a text once inflated, 0 for another chunk; more than any bound where they
    are damaged or more than MAX_TEXT_BYTES."""
    if kind not in (b"tEXt", b"zTXt", b"iTXt"):
        return 0
    content = data[start:end]
    behind = content.partition(b"\0")[2]
    if kind == b"tEXt" or (kind == b"iTXt" and behind[:1] != b"\1"):
        return len(content)
    method = behind[:1] if kind == b"zTXt" else behind[1:2]
    packed = behind[1:] if kind == b"zTXt" else behind[2:].split(b"\0", 2)[-1]
    text = _inflated(packed, MAX_TEXT_BYTES) if method == b"\0" else None
    return MAX_TEXTS_BYTES + 1 if text is None else len(text)


def _inflated(packed: bytes, most: int) -> bytes | None:
    """Return zlib's data, None where they are damaged, cut or more than `most` bytes."""
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(packed, most + 1)
    except zlib.error:
        return None
    return content if stream.eof and len(content) <= most else None

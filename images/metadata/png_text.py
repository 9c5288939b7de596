"""The text chunks of a PNG (ISO/IEC 15948, 11.3.4): read within bounds, and written."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from images.containers import png
from images.metadata.facts import Text

MAX_BYTES = 1 << 18
"""Of all texts of a file together, after decompression."""
MAX_TEXTS = 256
_KINDS = (b"tEXt", b"zTXt", b"iTXt")


def texts(data: bytes) -> Iterator[Text]:
    """Yield the texts of a PNG; damaged ones and those beyond the bounds are left out.

    Raises Unread as `images.containers.png.chunks`.
    """
    room, left = MAX_BYTES, MAX_TEXTS
    for kind, start, end in png.chunks(data):
        if kind not in _KINDS or end - start > room or not left:
            continue
        if not png.is_intact(data, start, end):
            continue
        left -= 1
        try:
            keyword, content, encoding = _content(kind, data[start:end], room)
            room -= len(content)
            yield Text(keyword, content.decode(encoding))
        except (ValueError, zlib.error):
            continue


def _content(kind: bytes, chunk: bytes, most: int) -> tuple[str, bytes, str]:
    """Return keyword, content and encoding of a chunk. Raises ValueError and zlib.error."""
    keyword, _, rest = chunk.partition(b"\0")
    compressed, encoding = kind == b"zTXt", "latin-1"
    if compressed:
        rest = rest[1:]  # the method
    if kind == b"iTXt":
        compressed, encoding = rest[:1] == b"\1", "utf-8"
        rest = rest[2:].split(b"\0", 2)[2] if rest[2:].count(b"\0") > 1 else b""
    return keyword.decode("latin-1"), _inflated(rest, most) if compressed else rest, encoding


def _inflated(data: bytes, most: int) -> bytes:
    """Return decompressed bytes. Raises ValueError for more than `most`, or fewer than there
    should be, and zlib.error for damaged ones."""
    stream = zlib.decompressobj()
    content = stream.decompress(data, most)
    if not stream.eof:
        raise ValueError("too large, or cut")
    return content


def text_chunk(text: Text) -> tuple[bytes, bytes]:
    """Return type and content of the chunk of a text: Latin-1, in which most readers read it, or
    UTF-8 where its characters need that."""
    keyword = text.keyword.encode("latin-1")
    content = text.text.replace("\0", "")
    try:
        return b"tEXt", keyword + b"\0" + content.encode("latin-1")
    except UnicodeEncodeError:
        return international_chunk(text.keyword, content.encode())


def compressed_chunk(text: Text) -> tuple[bytes, bytes]:
    """Return the same with its text compressed, which must be Latin-1."""
    content = zlib.compress(text.text.encode("latin-1"))
    return b"zTXt", text.keyword.encode("latin-1") + b"\0\0" + content


def international_chunk(keyword: str, text: bytes) -> tuple[bytes, bytes]:
    """Return the same for a text in UTF-8."""
    return b"iTXt", keyword.encode("latin-1") + bytes(5) + text

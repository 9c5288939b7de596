"""AVIF files built box by box (ISO/IEC 14496-12, 23008-12), with streams that Pillow encodes."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

ALPHA_NAME = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha"
Reference = tuple[bytes, int, tuple[int, ...]]
"""Type, source and targets, by number."""


@dataclass(frozen=True)
class Item:
    """An entry of the item table; the first one of a file has number 1 and is its picture."""

    kind: bytes
    content: bytes
    properties: tuple[bytes, ...] = ()
    """Whole boxes."""


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def size(width: int, height: int) -> bytes:
    return box(b"ispe", struct.pack(">III", 0, width, height))


def rotated(quarter_turns: int) -> bytes:
    return box(b"irot", bytes([quarter_turns]))


def mirrored(axis: int) -> bytes:
    return box(b"imir", bytes([axis]))


def auxiliary(name: bytes = ALPHA_NAME) -> bytes:
    """Return what an auxiliary picture is: by default transparency."""
    return box(b"auxC", bytes(4) + name + b"\0")


def coded(image: Image.Image, *properties: bytes) -> Item:
    """Return a picture of one stream, with its size unless `properties` have another."""
    buffer = io.BytesIO()
    image.save(buffer, format="AVIF", speed=10)
    data = buffer.getvalue()
    at = data.index(b"av1C") - 4
    stated = () if any(p[4:8] == b"ispe" for p in properties) else (size(*image.size),)
    config = data[at : at + int.from_bytes(data[at : at + 4])]
    return Item(b"av01", data[data.index(b"mdat") + 4 :], (*stated, config, *properties))


def grid(rows: int, columns: int, width: int, height: int, *properties: bytes) -> Item:
    """Return a picture of tiles, which its references name."""
    content = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)
    stated = () if any(p[4:8] == b"ispe" for p in properties) else (size(width, height),)
    return Item(b"grid", content, (*stated, *properties))


def avif(
    items: Sequence[Item],
    references: Sequence[Reference] = (),
    wide: bool = False,
    associations: bytes = b"",
) -> bytes:
    """Return a file; `wide` chooses the forms of its tables that have larger numbers, and
    `associations` is one more box for the properties of items."""
    tables = _references(references, wide) if references else b""
    tables += _properties(items, wide, associations)
    start = len(_head(items, tables, wide, 0)) + 8
    content = b"".join(item.content for item in items)
    return _head(items, tables, wide, start) + box(b"mdat", content)


def _head(items: Sequence[Item], tables: bytes, wide: bool, start: int) -> bytes:
    handler = box(b"hdlr", bytes(8) + b"pict" + bytes(13))
    primary = box(b"pitm", bytes([wide, 0, 0, 0]) + _number(1, wide))
    places = _places(items, wide, start) + _entries(items, wide)
    meta = box(b"meta", bytes(4) + handler + primary + places + tables)
    return box(b"ftyp", b"avif\0\0\0\0avifmif1miaf") + meta


def _number(number: int, wide: bool) -> bytes:
    return struct.pack(">I" if wide else ">H", number)


def _places(items: Sequence[Item], wide: bool, start: int) -> bytes:
    table = bytes([2 if wide else 0, 0, 0, 0, 0x44, 0]) + _number(len(items), wide)
    for number, item in enumerate(items, 1):
        method = bytes(2) if wide else b""
        table += _number(number, wide) + method
        table += struct.pack(">HHII", 0, 1, start, len(item.content))
        start += len(item.content)
    return box(b"iloc", table)


def _entries(items: Sequence[Item], wide: bool) -> bytes:
    entries = b"".join(
        box(
            b"infe",
            bytes([3 if wide else 2, 0, 0, 0]) + _number(n, wide) + bytes(2) + item.kind + b"\0",
        )
        for n, item in enumerate(items, 1)
    )
    return box(b"iinf", struct.pack(">IH", 0, len(items)) + entries)


def _references(references: Sequence[Reference], wide: bool) -> bytes:
    boxes = b"".join(
        box(
            kind,
            _number(source, wide)
            + struct.pack(">H", len(targets))
            + b"".join(_number(target, wide) for target in targets),
        )
        for kind, source, targets in references
    )
    return box(b"iref", bytes([wide, 0, 0, 0]) + boxes)


def _properties(items: Sequence[Item], wide: bool, associations: bytes) -> bytes:
    every = list(dict.fromkeys(p for item in items for p in item.properties))
    table = bytes([wide, 0, 0, wide]) + struct.pack(">I", len(items))
    for number, item in enumerate(items, 1):
        table += _number(number, wide) + bytes([len(item.properties)])
        for found in item.properties:
            essential = found[4:8] in (b"av1C", b"irot", b"imir")
            place = every.index(found) + 1
            bit = essential << (15 if wide else 7)
            table += struct.pack(">H" if wide else ">B", place | bit)
    return box(b"iprp", box(b"ipco", b"".join(every)) + box(b"ipma", table) + associations)

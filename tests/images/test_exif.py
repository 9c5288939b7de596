"""EXIF records: bounded, hidden from other parsers where they are hostile, edited in place."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from images.containers.jxl import CONTAINER
from images.decode import decode
from images.encode import encode, writable_formats
from images.exif import MAX_BYTES, PREFIX, bounded, cleaned, is_sound, orientation
from images.opening import open_image, read_header
from images.picture import Picture, Raster
from jobs.formats import ImageFormat

LIMIT = 1_000_000
FORMATS = writable_formats()
WITH_RECORDS = [f for f in FORMATS if f is not ImageFormat.TIFF]
"""A TIFF has no record: its own directories are one."""
RATIONAL, SHORT, ASCII, LONG = 5, 3, 2, 4
X_RESOLUTION, ORIENTATION, MAKER = 0x011A, 0x0112, 0x010F

Entry = tuple[int, int, int, bytes | int]
"""Tag, type, number of values, and the values or the position where they lie."""


def tiff(entries: list[Entry], tail: bytes = b"", following: int = 0) -> bytes:
    """Return a little-endian record with one directory, and bytes behind it."""
    directory = struct.pack("<H", len(entries))
    for tag, kind, count, value in entries:
        field = value if isinstance(value, bytes) else struct.pack("<I", value)
        directory += struct.pack("<HHI", tag, kind, count) + field.ljust(4, b"\0")
    return b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<I", following) + tail


def end_of(entries: int) -> int:
    """Return the position after a directory with this number of entries."""
    return 8 + 2 + 12 * entries + 4


def large(orientation: int = 1) -> bytes:
    """Return a record with one tag of half a million fractions, 4 MB."""
    count = 500_000
    entries: list[Entry] = [
        (ORIENTATION, SHORT, 1, struct.pack("<H", orientation)),
        (X_RESOLUTION, RATIONAL, count, end_of(3)),
        (0x0128, SHORT, 1, b"\2\0"),
    ]
    return tiff(entries, struct.pack("<2I", 1, 3) * count)


def overlapping() -> bytes:
    """Return a record below the bound, of entries that share their values: 20 MB when parsed."""
    entries: list[Entry] = [(X_RESOLUTION + n, RATIONAL, 3000, end_of(1000)) for n in range(1000)]
    return tiff(entries, struct.pack("<2I", 1, 3) * 3000)


def with_record(image_format: ImageFormat, record: bytes) -> bytes:
    """Return a picture of 40 x 30 pixels with an EXIF record as it is."""
    buffer = io.BytesIO()
    image = Image.new("RGB", (40, 30), (9, 99, 199))
    if image_format is ImageFormat.JXL:
        stream = encode(Picture(Raster(np.asarray(image))), image_format)
        boxes = box(b"ftyp", b"jxl \0\0\0\0jxl ") + box(b"Exif", bytes(4) + record)
        return CONTAINER + boxes + box(b"jxlc", stream)
    if image_format is not ImageFormat.JPEG:
        harmless = tiff([(MAKER, ASCII, 4, b"Abc\0")]).ljust(len(record), b"\0")
        image.save(buffer, format=image_format.value, exif=PREFIX + harmless)
        data = buffer.getvalue().replace(harmless, record)
        return data if image_format is not ImageFormat.PNG else with_checksum(data)
    image.save(buffer, format="JPEG")
    data, parts = buffer.getvalue(), b""
    for start in range(0, len(record), 65_000):
        part = PREFIX + record[start : start + 65_000]
        parts += b"\xff\xe1" + struct.pack(">H", len(part) + 2) + part
    return data[:20] + parts + data[20:]


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def with_checksum(png: bytes) -> bytes:
    """Return a PNG with the right checksum behind its EXIF chunk."""
    at = png.index(b"eXIf")
    end = at + 4 + int.from_bytes(png[at - 4 : at])
    return png[:end] + struct.pack(">I", zlib.crc32(png[at:end])) + png[end + 4 :]


def peak(call: Callable[[], object]) -> int:
    """Return the most bytes that Python held for a call."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("image_format", WITH_RECORDS)
@pytest.mark.parametrize("record", [large(), overlapping()], ids=["large", "overlapping"])
def test_a_hostile_record_is_dropped_and_costs_no_memory(
    image_format: ImageFormat, record: bytes
) -> None:
    data = with_record(image_format, record)
    read_header(data, LIMIT)  # imports are not counted
    assert peak(lambda: read_header(data, LIMIT)) < 3 * len(data) + (1 << 21)
    assert peak(lambda: decode(data, LIMIT)) < 3 * len(data) + (1 << 21)
    assert open_image(data, LIMIT).exif == b""
    picture = decode(data, LIMIT)
    assert (picture.metadata.exif, picture.width, picture.height) == (b"", 40, 30)


@pytest.mark.parametrize("image_format", [f for f in WITH_RECORDS if f not in ("avif", "jxl")])
def test_the_orientation_of_a_large_record_counts(image_format: ImageFormat) -> None:
    header = read_header(with_record(image_format, large(orientation=6)), LIMIT)
    assert (header.width, header.height, header.orientation) == (30, 40, 6)


@pytest.mark.parametrize("image_format", WITH_RECORDS)
def test_a_record_of_64_kib_is_kept(image_format: ImageFormat) -> None:
    note = bytes(range(256)) * 250
    record = tiff([(MAKER, ASCII, len(note), end_of(1))], note)
    written = encode(decode(with_record(image_format, record), LIMIT), ImageFormat.PNG)
    assert open_image(written, LIMIT).exif == record


def test_the_bound_is_exact() -> None:
    head = tiff([(MAKER, ASCII, MAX_BYTES - end_of(1), end_of(1))])
    assert bounded(head.ljust(MAX_BYTES, b"x")) != b""
    assert bounded(head.ljust(MAX_BYTES + 1, b"x")) == b""


@pytest.mark.parametrize("kind", [1, SHORT, LONG])
@pytest.mark.parametrize("value", range(10))
def test_the_orientation_may_be_any_unsigned_integer(kind: int, value: int) -> None:
    record = tiff([(ORIENTATION, kind, 1, value.to_bytes(4, "little"))])
    assert orientation(record) == (value if 1 <= value <= 8 else 1)


def test_a_big_endian_record_is_read_and_edited() -> None:
    exif = Image.Exif()
    exif.endian = ">"
    exif[ORIENTATION], exif[MAKER] = 8, "A maker with a long name"
    record = exif.tobytes()[6:].replace(b"II*\0", b"MM\0*")
    if record[:2] == b"MM":
        assert orientation(record) == 8
        edited = Image.Exif()
        edited.load(cleaned(record))
        assert dict(edited) == {MAKER: "A maker with a long name"}


def test_values_stay_where_they_are() -> None:
    """Maker notes hold positions in the record, so nothing may move."""
    entries: list[Entry] = [
        (ORIENTATION, SHORT, 1, b"\6\0"),
        (MAKER, ASCII, 8, end_of(2) + 4),
    ]
    edited = cleaned(tiff(entries, b"\0\0\0\0maker 1\0"))[len(PREFIX) :]
    assert edited.index(b"maker 1") == end_of(2) + 4
    assert edited[8:10] == b"\1\0"


def test_a_damaged_entry_goes_and_the_others_stay() -> None:
    record = tiff([(MAKER, ASCII, 4, b"Abc\0"), (0x0110, ASCII, 99, 1 << 30)])
    assert bounded(record) == record
    assert not is_sound(record)
    edited = Image.Exif()
    edited.load(cleaned(record))
    assert dict(edited) == {MAKER: "Abc"}


def test_a_record_without_true_entries_is_dropped() -> None:
    inner = end_of(2)
    record = tiff(
        [(ORIENTATION, SHORT, 1, b"\3\0"), (0x8769, LONG, 1, inner)],
        struct.pack("<H", 1) + struct.pack("<HHII", 0xA002, LONG, 1, 40) + bytes(4),
    )
    assert cleaned(record) == b""


def test_directories_that_overlap_are_edited() -> None:
    """Directories that are the first one again, and values that lie in the header."""
    record = tiff([(0x8769, LONG, 1, 8), (0x8825, LONG, 1, 8), (0x014A, LONG, 2, 0)])
    edited = cleaned(bounded(record))
    assert not edited or is_sound(bounded(edited.removeprefix(PREFIX)))
    assert orientation(record) == 1


@pytest.mark.parametrize("place", [1 << 24, 0xF0000000])
def test_a_directory_that_changes_another_makes_no_large_record(place: int) -> None:
    """Editing the second directory turns an entry of the first into one of any size."""
    record = tiff([(0x8769, LONG, 1, end_of(2)), (0x8825, LONG, 1, end_of(2) + 2)])
    inner = struct.pack("<H", 2) + struct.pack("<HHII", 2, 0, 2, 1)
    inner += struct.pack("<HHII", 2, SHORT, 0x100, place)
    hostile = bounded(record + inner + bytes(20))
    assert hostile
    assert peak(lambda: cleaned(hostile)) < 1_000_000
    assert cleaned(hostile) == b""


def drawn_record() -> bytes:
    exif = Image.Exif()
    exif[MAKER], exif[ORIENTATION], exif[X_RESOLUTION] = "Maker", 6, 0.5
    exif.get_ifd(0x8769).update({0x829A: 0.5, 0xA002: 80, 0xA003: 64})
    exif.get_ifd(0x8825).update({1: "N"})
    return exif.tobytes()[6:]


@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=8),
    st.integers(0, 300),
)
def test_any_record_is_read_and_edited(changes: list[tuple[int, int]], length: int) -> None:
    data = bytearray(drawn_record())
    for at, value in changes:
        data[at % len(data)] = value
    for record in (bytes(data), bytes(data[:length])):
        assert 1 <= orientation(record) <= 8
        kept = bounded(record)
        edited = cleaned(kept)
        assert len(edited) <= len(kept) + len(PREFIX) + 4
        if edited:
            assert is_sound(bounded(edited.removeprefix(PREFIX)))


@given(st.binary(max_size=300))
def test_any_bytes_are_read_and_edited(rest: bytes) -> None:
    for record in (rest, b"II*\0" + rest, b"MM\0*\0\0\0\x08" + rest):
        assert orientation(record) in range(1, 9)
        cleaned(bounded(record))

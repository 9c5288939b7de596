"""Metadata on its way from file to file, by what a caller may choose of it."""

from __future__ import annotations

import io
import struct
import tracemalloc
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import ExifTags, Image

from images.decode import decode
from images.encode import encode, writable_formats
from images.metadata import xmp
from images.metadata.embedded import embedded_metadata
from images.metadata.facts import NO_METADATA, Density, Metadata, Text
from images.metadata.packing import packed, unpacked
from images.picture import Picture, Raster
from jobs.formats import ImageFormat
from tests.support import marked_pictures as marked
from tests.support.marked_pictures import KINDS, Marked, box

LIMIT = 1_000_000
FORMATS = writable_formats()
BY_PILLOW = [f for f in FORMATS if f is not ImageFormat.JXL]
PERSONAL = (marked.CAMERA, marked.XMP_TITLE, marked.IPTC_CITY, marked.TEXT, "2001:02:03", "48,8.2N")
STATED = (marked.AUTHOR, marked.NOTICE, marked.XMP_NOTICE)


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def with_rights_alone(data: bytes) -> Picture:
    picture = decode(data, LIMIT)
    return replace(picture, metadata=picture.rights)


def found(file: bytes, word: str) -> bool:
    """Return whether a word stands in a file, also in hexadecimal or compressed."""
    back = decode(file, LIMIT).metadata
    everything = repr((back, decode(file, LIMIT).rights)).encode() + back.iptc
    return word.encode() in file or word.encode() in everything


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_rights_go_everywhere_and_nothing_personal_does(
    kind: Marked, image_format: ImageFormat
) -> None:
    file = encode(with_rights_alone(kind.make()), image_format)
    assert not [word for word in PERSONAL if found(file, word)]
    if marked.EXIF in kind.holds:
        assert [word for word in STATED if not found(file, word)] == []


@pytest.mark.parametrize("image_format", BY_PILLOW)
@pytest.mark.parametrize("source", ["jpeg", "png", "webp", "avif"])
def test_another_reader_finds_everything(source: str, image_format: ImageFormat) -> None:
    file = next(kind for kind in KINDS if kind.name.lower().startswith(source)).make()
    image = opened(encode(decode(file, LIMIT), image_format))
    record = image.getexif()
    assert record[ExifTags.Base.Make] == marked.CAMERA
    assert record[ExifTags.Base.XResolution] == record[ExifTags.Base.YResolution] == marked.DPI
    assert record[ExifTags.Base.ResolutionUnit] == 2
    assert record.get_ifd(ExifTags.IFD.GPSInfo)[1] == "N"
    assert set(record.get_ifd(ExifTags.IFD.Exif)) == {ExifTags.Base.DateTimeOriginal}
    packet = image.info["xmp"]
    assert "".join(ElementTree.fromstring(packet).itertext()).startswith(marked.XMP_TITLE)
    assert b"Orientation" not in packet
    assert b"PixelXDimension" not in packet
    if image_format in (ImageFormat.PNG, ImageFormat.JPEG):
        assert image.info["dpi"] == pytest.approx((marked.DPI, marked.DPI), abs=0.01)


def test_a_jpeg_keeps_iptc_and_its_comment_for_other_readers() -> None:
    image = opened(encode(decode(marked.jpeg("RGB"), LIMIT), ImageFormat.JPEG))
    iptc = image.info["photoshop"][0x0404]
    assert marked.IPTC_CITY.encode() in iptc
    assert marked.IPTC_NOTICE.encode() in iptc
    assert set(image.info["photoshop"]) == {0x0404}  # the others describe the file that was sent
    assert image.info["comment"] == marked.TEXT.encode()


def test_a_png_keeps_its_texts_for_other_readers() -> None:
    picture = decode(marked.png(marked.drawn("RGB")), LIMIT)
    texts = (*picture.metadata.texts, Text("Title", "Straße"), Text("Title", "東京"))
    picture = replace(picture, metadata=replace(picture.metadata, texts=texts))
    image = opened(encode(picture, ImageFormat.PNG))
    assert isinstance(image, Image.Image)
    assert image.info["Description"] == marked.TEXT
    assert image.info["Title"] == "東京"
    assert decode(encode(picture, ImageFormat.PNG), LIMIT).metadata.texts == texts


@pytest.mark.parametrize("image_format", FORMATS)
def test_nothing_is_written_of_nothing(image_format: ImageFormat) -> None:
    picture = decode(marked.jpeg("RGB"), LIMIT)
    bare = encode(replace(picture, metadata=NO_METADATA), image_format)
    assert bare == encode(Picture(picture.pixels, picture.kind), image_format)
    assert not [word for word in (*PERSONAL, *STATED) if found(bare, word)]
    assert decode(bare, LIMIT).metadata == NO_METADATA


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_second_time_changes_nothing(kind: Marked, image_format: ImageFormat) -> None:
    """What was written is read again as it was: nothing grows from one enlargement to the next."""
    once = decode(encode(decode(kind.make(), LIMIT), image_format), LIMIT)
    twice = decode(encode(once, image_format), LIMIT)
    assert (twice.metadata.xmp, twice.metadata.iptc) == (once.metadata.xmp, once.metadata.iptc)
    assert (twice.metadata.texts, twice.rights) == (once.metadata.texts, once.rights)
    assert len(twice.metadata.exif) <= len(once.metadata.exif)
    assert twice.metadata.density == once.metadata.density


@pytest.mark.parametrize("image_format", ["JPEG", "WEBP", "TIFF"])
def test_an_orientation_in_xmp_alone_turns_nothing(image_format: str) -> None:
    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-'
        b'rdf-syntax-ns#"><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
        b'tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    )
    buffer = io.BytesIO()
    options = {"tiffinfo": {700: packet}} if image_format == "TIFF" else {"xmp": packet}
    Image.new("RGB", (40, 20)).save(buffer, image_format, **options)
    assert packet in buffer.getvalue()
    picture = decode(buffer.getvalue(), LIMIT)
    assert (picture.width, picture.height) == (40, 20)
    assert b"Orientation" not in picture.metadata.xmp


@pytest.mark.parametrize("orientation", range(1, 9))
def test_axes_of_a_resolution_turn_with_the_picture(orientation: int) -> None:
    data = bytearray(marked.jpeg("RGB", orientation))
    data[14:18] = struct.pack(">HH", 200, 100)
    image = opened(encode(decode(bytes(data), LIMIT), ImageFormat.JPEG))
    turned = orientation > 4
    assert image.info["dpi"] == ((100, 200) if turned else (200, 100))
    record = image.getexif()
    shown = record[ExifTags.Base.XResolution], record[ExifTags.Base.YResolution]
    assert shown == image.info["dpi"]
    assert ExifTags.Base.Orientation not in record
    assert b"Orientation" not in image.info["xmp"]


@pytest.mark.parametrize("image_format", FORMATS)
def test_rights_of_iptc_alone_reach_every_format(image_format: ImageFormat) -> None:
    buffer = io.BytesIO()
    marked.drawn("RGB").save(buffer, "JPEG")
    content = b"Photoshop 3.0\0" + marked.iptc_resources()
    segment = b"\xff\xed" + struct.pack(">H", len(content) + 2) + content
    data = buffer.getvalue()[:20] + segment + buffer.getvalue()[20:]
    back = decode(encode(with_rights_alone(data), image_format), LIMIT)
    assert marked.IPTC_NOTICE.encode() in back.metadata.xmp
    assert marked.IPTC_CITY.encode() not in back.metadata.xmp + back.metadata.iptc


def test_a_jpeg_has_the_rights_of_a_packet_that_no_segment_holds() -> None:
    large, small = Metadata(xmp=b"x" * 65_505), Metadata(xmp=b"whose picture it is")
    picture = Picture(Raster(np.zeros((8, 8, 3), np.uint8)), metadata=large, rights=small)
    assert b"x" * 1000 not in encode(picture, ImageFormat.JPEG)
    assert small.xmp in encode(picture, ImageFormat.JPEG)
    fitting = replace(picture, metadata=Metadata(xmp=b"x" * 65_504))
    assert b"x" * 65_504 in encode(fitting, ImageFormat.JPEG)


def in_avif(packet: bytes, parts: int) -> bytes:
    """Return the tables of an AVIF whose XMP has parts that are all the same bytes."""
    start = 8
    entry = bytes((2, 0, 0, 0)) + struct.pack(">HH", 1, 0) + b"mime\0application/rdf+xml\0"
    items = box(b"iinf", struct.pack(">IH", 0, 1) + box(b"infe", entry))
    places = struct.pack(">IBBHHHH", 0, 0x44, 0, 1, 1, 0, parts)
    places += struct.pack(">II", start, len(packet)) * parts
    return box(b"mdat", packet) + box(b"meta", bytes(4) + items + box(b"iloc", places))


def test_a_packet_in_an_avif_may_have_parts_within_its_bound() -> None:
    assert embedded_metadata(in_avif(b"packet", 1), ImageFormat.AVIF).xmp == b"packet"
    assert embedded_metadata(in_avif(b"packet", 2), ImageFormat.AVIF).xmp == 2 * b"packet"
    large = in_avif(bytes(xmp.MAX_BYTES), 4000)
    tracemalloc.start()
    try:
        stored = embedded_metadata(large, ImageFormat.AVIF)
        assert tracemalloc.get_traced_memory()[1] < 10 * xmp.MAX_BYTES
    finally:
        tracemalloc.stop()
    assert xmp.cleaned(stored.xmp) == b""


def test_metadata_travels_as_bytes() -> None:
    whole = Metadata(
        b"Exif\0\0\xff", b"<x/>", bytes(range(256)), Density(1.5, 2), (Text("a", "ß"),)
    )
    assert unpacked(packed((whole, NO_METADATA)), 2) == [whole, NO_METADATA]
    assert packed((NO_METADATA, NO_METADATA)) == b""
    assert unpacked(b"", 2) == [NO_METADATA, NO_METADATA]


@pytest.mark.parametrize(
    "data",
    [
        b'[{"exif": "", "xmp": "", "iptc": "", "density": [0, 1, true], "texts": []}, {}]',
        b'[{"exif": "", "xmp": "", "iptc": "", "density": null, "texts": [["", ""]]}, {}]',
        b'[{"exif": "\\u0100", "xmp": "", "iptc": "", "density": null, "texts": []}, {}]',
        *(b" ", b"[]", b"7", b"[7, 7]", b'[{"exif": ""}, {}]', b"[[], []]", b"\xff", b"{}"),
    ],
)
def test_other_bytes_are_no_metadata(data: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        unpacked(data, 2)

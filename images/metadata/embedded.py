"""Where the metadata of an encoded image lies: read by the container alone, within bounds.

EXIF is found by `images.exif_place`, which the header needs as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from images.containers import boxes, heif, jpeg, jxl, photoshop, png, raw_profile, riff, tiff
from images.containers.bmp import read_bmp
from images.containers.common import Unread
from images.jxl import packed_box
from images.metadata import density, iptc, png_text, xmp
from images.metadata.facts import Density, Text
from images.metadata.identifiers import (
    COMMENT,
    PHOTOSHOP_OF_JPEG,
    XMP_OF_JPEG,
    XMP_OF_PNG,
    XMP_TYPE,
)
from jobs.formats import ImageFormat

XMP_OF_GIF = b"\x21\xff\x0bXMP DataXMP"
XMP_TRAILER_OF_GIF = b"\1\xff\xfe"
"""What stands before a packet and behind it."""
MAX_RESOURCES = 1 << 20
"""Bytes of a JPEG's Photoshop resources that are searched."""


@dataclass(frozen=True)
class EmbeddedMetadata:
    """What a file holds, as it stands there."""

    xmp: bytes = b""
    iptc: bytes = b""
    density: Density | None = None
    texts: tuple[Text, ...] = ()


def embedded_metadata(
    data: bytes, image_format: ImageFormat, page: int | None = None
) -> EmbeddedMetadata:
    """Return what an image, or a page of a TIFF, holds beside EXIF and profile; nothing where its
    parts are damaged."""
    try:
        if image_format is ImageFormat.TIFF:
            return _in_tiff(data, page or 0)
        return _READERS[image_format](data) if image_format in _READERS else EmbeddedMetadata()
    except Unread:
        return EmbeddedMetadata()


def _in_jpeg(data: bytes) -> EmbeddedMetadata:
    packet, resources, found = b"", bytearray(), None
    comments: list[Text] = []
    for marker, start, end in jpeg.segments(data):
        segment = data[start:end]
        if marker == jpeg.APP0 and found is None:
            found = density.from_jfif(segment)
        elif marker == jpeg.APP1 and segment.startswith(XMP_OF_JPEG):
            packet = packet or segment.removeprefix(XMP_OF_JPEG)
        elif marker == jpeg.APP13 and len(resources) < MAX_RESOURCES:
            resources += segment.removeprefix(PHOTOSHOP_OF_JPEG)
        elif marker == jpeg.COMMENT and len(comments) < png_text.MAX_TEXTS:
            comments.append(Text(COMMENT, _comment(segment)))
    return EmbeddedMetadata(packet, _iptc_in(bytes(resources)), found, tuple(_bounded(comments)))


def _comment(segment: bytes) -> str:
    try:
        return segment.rstrip(b"\0").decode()
    except UnicodeDecodeError:
        return segment.rstrip(b"\0").decode("latin-1")


def _bounded(texts: list[Text]) -> Iterator[Text]:
    room = png_text.MAX_BYTES
    for text in texts:
        room -= len(text.text)
        if room >= 0:
            yield text


def _iptc_in(resources: bytes) -> bytes:
    found = (content for kind, content in photoshop.resources(resources) if kind == photoshop.IPTC)
    return next(found, b"")


def _in_png(data: bytes) -> EmbeddedMetadata:
    texts = list(png_text.texts(data))
    by_keyword = {text.keyword.lower(): text.text for text in reversed(texts)}

    def profile(name: str, most: int) -> bytes:
        text = by_keyword.get(f"{raw_profile.KEYWORD}{name}".lower(), "")
        return raw_profile.unwrapped(text, most)

    resources = profile("iptc", MAX_RESOURCES)
    return EmbeddedMetadata(
        by_keyword.get(XMP_OF_PNG.lower(), "").encode() or profile("xmp", xmp.MAX_BYTES),
        _iptc_in(resources) or resources,
        _density_of_png(data),
        tuple(text for text in texts if not _is_profile(text.keyword)),
    )


def _is_profile(keyword: str) -> bool:
    """Return whether a text is metadata of another kind, or a small copy of the picture."""
    hidden = (XMP_OF_PNG.lower(), raw_profile.KEYWORD.lower(), "thumb::")
    return keyword.lower().startswith(hidden)


def _density_of_png(data: bytes) -> Density | None:
    for kind, start, end in png.chunks(data):
        if kind == b"pHYs" and png.is_intact(data, start, end):
            return density.from_png(data[start:end])
        if kind == b"IDAT":
            break
    return None


def _in_webp(data: bytes) -> EmbeddedMetadata:
    for kind, start, end in riff.chunks(data):
        if kind == b"XMP ":
            return EmbeddedMetadata(_packet(data, start, end))
    return EmbeddedMetadata()


def _in_heif(data: bytes) -> EmbeddedMetadata:
    items = heif.Items(data)
    packet = b""
    for item in items.of_content(XMP_TYPE)[:1]:
        for part in items.extents(item.number):  # which may all be the same bytes
            packet += _packet(data, *part)
            if len(packet) > xmp.MAX_BYTES:
                break
    return EmbeddedMetadata(packet)


def _in_jxl(data: bytes) -> EmbeddedMetadata:
    for kind, box in boxes.walk(data, 0, len(data)) if data.startswith(jxl.CONTAINER) else ():
        if kind == b"xml ":
            return EmbeddedMetadata(_packet(data, box.start, box.end))
    return EmbeddedMetadata(packed_box(data, b"xml ", xmp.MAX_BYTES + 1))


def _in_tiff(data: bytes, page: int) -> EmbeddedMetadata:
    file = tiff.TiffFile(data)
    fields = file.directory(tiff.read_tiff(data, page).at)
    resources = file.content(fields.get(tiff.PHOTOSHOP), MAX_RESOURCES)
    return EmbeddedMetadata(
        file.content(fields.get(tiff.XMP), xmp.MAX_BYTES + 1),
        file.content(fields.get(tiff.IPTC), iptc.MAX_BYTES + 4) or _iptc_in(resources),
    )


def _in_gif(data: bytes) -> EmbeddedMetadata:
    """Find the packet behind its name (XMP specification, part 3, 1.1.2): no blocks divide it."""
    at = data.find(XMP_OF_GIF)
    if at < 0:
        return EmbeddedMetadata()
    start = at + len(XMP_OF_GIF)
    end = data.find(XMP_TRAILER_OF_GIF, start, start + xmp.MAX_BYTES + 2)
    return EmbeddedMetadata(data[start:end] if end > start else b"")


def _in_bmp(data: bytes) -> EmbeddedMetadata:
    x, y = read_bmp(data).pixels_per_metre
    return EmbeddedMetadata(density=density.made(x, y, 1.0) if x > 0 < y else None)


def _packet(data: bytes, start: int, end: int) -> bytes:
    """Return a part of a file, cut behind what a packet may have."""
    return data[start : min(end, start + xmp.MAX_BYTES + 1)]


_READERS: dict[ImageFormat, Callable[[bytes], EmbeddedMetadata]] = {
    ImageFormat.PNG: _in_png,
    ImageFormat.JPEG: _in_jpeg,
    ImageFormat.WEBP: _in_webp,
    ImageFormat.AVIF: _in_heif,
    ImageFormat.JXL: _in_jxl,
    ImageFormat.HEIC: _in_heif,
    ImageFormat.GIF: _in_gif,
    ImageFormat.BMP: _in_bmp,
}

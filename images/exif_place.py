"""Where the EXIF record of an encoded image lies, by the container alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from images.containers import boxes, heif, jpeg, jxl, png, riff
from images.exif import MAX_BYTES, PREFIX
from jobs.formats import ImageFormat


@dataclass(frozen=True)
class ExifPlace:
    """The parts of a record, in order, and the names by which decoders find them."""

    spans: tuple[tuple[int, int], ...] = ()
    """Start and end in the file of each part."""
    names: tuple[int, ...] = ()
    """Positions of four bytes; once they are changed, no decoder finds a record. Empty for formats
    whose decoder does not look into records."""

    def record(self, data: bytes) -> bytes:
        """Return the record without prefix, and no more than one byte beyond MAX_BYTES."""
        record = b""
        for start, end in self.spans:
            record += data[start : min(end, start + MAX_BYTES + 1)]
            if len(record) > MAX_BYTES:
                break
        return record.removeprefix(PREFIX)

    def hidden(self, data: bytes) -> bytes:
        """Return a copy of the file in which no decoder finds a record."""
        changed = bytearray(data)
        for name in self.names:
            changed[name : name + 4] = b"none"
        return bytes(changed)


def exif_place(data: bytes, image_format: ImageFormat) -> ExifPlace:
    """Return where an image's record lies, an empty place where there is none.

    Raises Unread for a file of more parts than real ones have.
    """
    return _FINDERS[image_format](data)


def _in_jpeg(data: bytes) -> ExifPlace:
    starts = [
        (start, end)
        for marker, start, end in jpeg.segments(data)
        if marker == jpeg.APP1 and data[start : start + len(PREFIX)] == PREFIX
    ]
    spans = tuple((start + len(PREFIX), end) for start, end in starts)
    return ExifPlace(spans, tuple(start for start, _ in starts))


def _in_png(data: bytes) -> ExifPlace:
    """Find the chunk wherever it stands; Pillow would decode the pixels to look behind them."""
    found = ExifPlace()
    for kind, start, end in png.chunks(data):
        if kind == b"eXIf" and not found.spans:
            found = ExifPlace(((start, end),)) if png.is_intact(data, start, end) else found
    return found


def _in_webp(data: bytes) -> ExifPlace:
    found = ExifPlace()
    for kind, start, end in riff.chunks(data):
        if kind == b"EXIF" and not found.spans:
            found = ExifPlace(((start, min(end, len(data))),))
    return found


def _in_avif(data: bytes) -> ExifPlace:
    items = heif.Items(data)
    records = items.of_kind(heif.EXIF)
    names = tuple(item.kind_at for item in records)
    parts = items.extents(records[0].number) if len(records) == 1 else []
    if len(parts) != 1:
        return ExifPlace((), names)
    [(start, end)] = parts
    head = 4 + int.from_bytes(data[start : start + 4])  # exif_tiff_header_offset
    return ExifPlace(((start + head, end),) if start + head < end else (), names)


def _in_jxl(data: bytes) -> ExifPlace:
    """Find the box of a record; one that is compressed stays unread here (`images.jxl`)."""
    for kind, box in boxes.walk(data, 0, len(data)) if data.startswith(jxl.CONTAINER) else ():
        if kind == b"Exif":
            start = box.start + 4 + int.from_bytes(data[box.start : box.start + 4])
            return ExifPlace(((start, box.end),) if start < box.end else ())
    return ExifPlace()


_FINDERS: dict[ImageFormat, Callable[[bytes], ExifPlace]] = {
    ImageFormat.PNG: _in_png,
    ImageFormat.JPEG: _in_jpeg,
    ImageFormat.WEBP: _in_webp,
    ImageFormat.AVIF: _in_avif,
    ImageFormat.JXL: _in_jxl,
}

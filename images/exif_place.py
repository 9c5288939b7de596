"""Where the EXIF record of an encoded image lies, by the container alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from images.containers import boxes, heif, jpeg, jxl, png, riff
from images.exif import MAX_BYTES, PREFIX
from images.tiff_tree import exif_of_tiff
from jobs.formats import ImageFormat


@dataclass(frozen=True)
class ExifPlace:
    """The parts of a record, in order, and the names by which decoders find them."""

    spans: tuple[tuple[int, int], ...] = ()
    """Start and end in the file of each part."""
    names: tuple[int, ...] = ()
    """Positions of four bytes; once they are changed, no decoder finds a record. Empty for formats
    whose decoder does not look into records."""
    made: bytes = b""
    """A record of what lies in several parts that are no record together, as in a TIFF."""

    def record(self, data: bytes) -> bytes:
        """Return the record without prefix, and no more than one byte beyond MAX_BYTES."""
        record = self.made
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


def exif_place(data: bytes, image_format: ImageFormat, page: int = 0) -> ExifPlace:
    """Return where the record of an image, or of a page of a TIFF, lies; an empty place where there
    is none.

    Raises Unread for a file of more parts than real ones have.
    """
    if image_format is ImageFormat.TIFF:
        return ExifPlace(made=exif_of_tiff(data, page))
    finder = _FINDERS.get(image_format)
    return ExifPlace() if finder is None else finder(data)


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


def _in_heif(data: bytes) -> ExifPlace:
    if b"meta" not in boxes.first_boxes(data, 0, len(data)):
        return ExifPlace()  # an animation may have tracks alone
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
    ImageFormat.AVIF: _in_heif,
    ImageFormat.HEIC: _in_heif,
    ImageFormat.JXL: _in_jxl,
}

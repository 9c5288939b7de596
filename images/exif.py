"""EXIF records as bytes: bounded, read without a parser of values, and edited in place.

A record is a TIFF file of up to 64 KiB. Its values are never parsed into objects: other parsers
turn a hostile record of megabytes into millions of fractions, and entries that share their bytes
multiply even a small one. Records beyond these bounds are dropped, and the picture is served.
"""

from __future__ import annotations

from collections.abc import Iterator

from PIL import ExifTags

from images.directories import INTEGERS, Damaged, Entry, Tiff

MAX_BYTES = 1 << 16
PREFIX = b"Exif\0\0"

_SUBJECT_AREA, _SUBJECT_LOCATION = 0x9214, 0xA214
"""Places in the picture, in pixels; Pillow has one name for both."""
_UNTRUE = frozenset(
    {
        ExifTags.Base.Orientation,
        ExifTags.Base.ImageWidth,
        ExifTags.Base.ImageLength,
        *(ExifTags.Base.XResolution, ExifTags.Base.YResolution, ExifTags.Base.ResolutionUnit),
        *(ExifTags.Base.NewSubfileType, ExifTags.Base.Compression, ExifTags.Base.BitsPerSample),
        *(ExifTags.Base.PhotometricInterpretation, ExifTags.Base.SamplesPerPixel),
        *(ExifTags.Base.PlanarConfiguration, ExifTags.Base.RowsPerStrip),
        *(ExifTags.Base.Predictor, ExifTags.Base.ColorMap, ExifTags.Base.ExtraSamples),
        *(ExifTags.Base.SampleFormat, ExifTags.Base.YCbCrSubSampling),
        *(ExifTags.Base.TileWidth, ExifTags.Base.TileLength),
        *(ExifTags.Base.TileOffsets, ExifTags.Base.TileByteCounts),
        ExifTags.Base.StripOffsets,
        ExifTags.Base.StripByteCounts,
        ExifTags.Base.JpegIFOffset,
        ExifTags.Base.JpegIFByteCount,
        ExifTags.Base.SubIFDs,
        *(ExifTags.Base.XMLPacket, ExifTags.Base.IPTCNAA, ExifTags.Base.ImageResources),
        ExifTags.Base.InterColorProfile,
    }
)
"""What an upscaled, upright picture makes untrue, in the first directory, and what is handed on by
itself (`images.metadata`): its resolution, XMP, IPTC, a profile."""
_UNTRUE_INSIDE = frozenset(
    {
        ExifTags.Base.ExifImageWidth,
        ExifTags.Base.ExifImageHeight,
        *(_SUBJECT_AREA, _SUBJECT_LOCATION),
        *(ExifTags.Base.FocalPlaneXResolution, ExifTags.Base.FocalPlaneYResolution),
        ExifTags.Base.FocalPlaneResolutionUnit,
    }
)
"""The same in the Exif directory."""


def bounded(record: bytes) -> bytes:
    """Return a TIFF record, b"" for one that is no TIFF file or larger than it may be: as a whole,
    or in the sum of its values."""
    if len(record) > MAX_BYTES:
        return b""
    try:
        size = sum(entry.size for entry in _kept_entries(record) if not entry.outside)
    except Damaged:
        return b""
    return record if size <= len(record) else b""


def is_sound(record: bytes) -> bool:
    """Return whether a bounded record may be handed to other parsers: it is one, and all its values
    lie inside it, so that their work is bounded by its length."""
    return bool(record) and not Tiff(record).points_outside()


def orientation(record: bytes) -> int:
    """Return the orientation, 1 to 8, that the first directory of any record states; 1 where it
    states none that can be read."""
    try:
        entries = Tiff(record[:MAX_BYTES]).first.entries
    except Damaged:
        return 1
    for entry in entries:
        if entry.tag == ExifTags.Base.Orientation and entry.kind in INTEGERS and entry.count == 1:
            return entry.value if 1 <= entry.value <= 8 else 1
    return 1


def cleaned(record: bytes) -> bytes:
    """Return a bounded record with its `Exif` prefix, without orientation, sizes, thumbnail and
    damaged entries; b"" if nothing is left, or if parts overlap so that editing one changed
    another. The result is at most four bytes longer than the record and its prefix."""
    try:
        return _cleaned(Tiff(record)) if record else b""
    except Damaged:  # parts that overlap, and were changed with others
        return b""


def _cleaned(tiff: Tiff) -> bytes:
    tiff.drop_thumbnail()
    for directory in list(tiff.directories()):
        tiff.drop(directory, _UNTRUE if directory == tiff.first else _UNTRUE_INSIDE)
    edited = Tiff(tiff.record)
    inside = edited.below(edited.first, ExifTags.IFD.Exif)
    if inside is not None and not inside.entries:
        edited.drop(edited.first, {ExifTags.IFD.Exif})
        edited = Tiff(edited.record)
    if not edited.first.entries:
        return b""
    if edited.points_outside():  # only where parts overlap; its end would be anywhere
        raise Damaged
    end = max(directory.last_byte() for directory in edited.directories())
    record = bytes(edited.record[:end]).ljust(end, b"\0")
    return PREFIX + record if bounded(record) else b""


def _kept_entries(record: bytes) -> Iterator[Entry]:
    for directory in Tiff(record).directories():
        yield from directory.entries

"""The EXIF record as it goes back: without what an upscaled, upright picture makes untrue."""

from __future__ import annotations

from PIL import ExifTags, Image

_UNTRUE = (
    ExifTags.Base.Orientation,
    ExifTags.Base.ImageWidth,
    ExifTags.Base.ImageLength,
    ExifTags.Base.StripOffsets,
    ExifTags.Base.StripByteCounts,
    ExifTags.Base.JpegIFOffset,
    ExifTags.Base.JpegIFByteCount,
    ExifTags.Base.SubIFDs,
)
_UNTRUE_INSIDE = (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight)


def cleaned(exif: Image.Exif | None) -> bytes:
    """Return the record without orientation, sizes and thumbnail; b"" if nothing is left or if
    the record is damaged: metadata is no reason to refuse a picture."""
    if exif is None:
        return b""
    try:
        for tag in _UNTRUE:
            exif.pop(tag, None)
        if ExifTags.IFD.Exif in exif:
            inside = exif.get_ifd(ExifTags.IFD.Exif)
            for tag in _UNTRUE_INSIDE:
                inside.pop(tag, None)
        # The thumbnail lives in a second directory, which Pillow does not write back.
        return exif.tobytes() if len(exif) else b""
    except Exception:  # entries are parsed when they are first touched, and may be anything
        return b""

"""The format of an image by its first bytes: no name and no declared type chooses a decoder."""

from __future__ import annotations

import struct

from PIL import features

from images.containers.gif import SIGNATURES as GIF_SIGNATURES
from images.containers.jxl import CODESTREAM, CONTAINER
from images.containers.png import SIGNATURE as PNG_SIGNATURE
from jobs.errors import EmptyBody, UnsupportedImage
from jobs.formats import ImageFormat, labels

UNREAD = (
    (b"II+\0", "BigTIFF"),
    (b"MM\0+", "BigTIFF"),
    (b"8BPS", "Photoshop"),
    (b"%PDF-", "PDF"),
    (b"\0\0\1\0", "Windows icon"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
)
"""Signatures of files that are not read, with their names for the refusal."""
READ = (
    (PNG_SIGNATURE, ImageFormat.PNG),
    (b"\xff\xd8\xff", ImageFormat.JPEG),
    (CODESTREAM, ImageFormat.JXL),
    (CONTAINER, ImageFormat.JXL),
    (b"II*\0", ImageFormat.TIFF),
    (b"MM\0*", ImageFormat.TIFF),
    *((signature, ImageFormat.GIF) for signature in GIF_SIGNATURES),
    (b"BM", ImageFormat.BMP),
)
"""Signatures of files that are read, at their beginning."""
AVIF_BRANDS = (b"avif", b"avis")
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")


def format_of(data: bytes) -> ImageFormat:
    """Return the format that the signature names. Raises EmptyBody, and UnsupportedImage for any
    other file."""
    if not data:
        raise EmptyBody
    for signature, image_format in READ:
        if data.startswith(signature):
            return image_format
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _if_built(ImageFormat.WEBP)
    if data[4:8] == b"ftyp" and _has_brand(data, AVIF_BRANDS):
        return _if_built(ImageFormat.AVIF)
    if data[4:8] == b"ftyp" and _has_brand(data, HEIC_BRANDS):
        return ImageFormat.HEIC
    raise _unsupported(data)


def _unsupported(data: bytes) -> UnsupportedImage:
    """Return the error for a file that is not read, which names its kind where that is known."""
    name = next((name for start, name in UNREAD if data.startswith(start)), None)
    if name is None:
        return UnsupportedImage()
    return UnsupportedImage(f"This is a {name} file, which is not read; send {labels()}.")


def _if_built(image_format: ImageFormat) -> ImageFormat:
    if not features.check(image_format.value):
        raise UnsupportedImage(f"This installation cannot read {image_format.label}.")
    return image_format


def _has_brand(data: bytes, wanted: tuple[bytes, ...]) -> bool:
    brands = data[8 : min(struct.unpack(">I", data[:4])[0], 256)]
    return any(brands[at : at + 4] in wanted for at in range(0, len(brands), 4))

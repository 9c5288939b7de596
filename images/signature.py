"""The format of an image by its first bytes: no name and no declared type chooses a decoder."""

from __future__ import annotations

import io
import struct

from PIL import features
from PIL.GifImagePlugin import GifImageFile

from images.containers.jxl import CODESTREAM, CONTAINER
from images.containers.png import SIGNATURE as PNG_SIGNATURE
from jobs.errors import AnimatedImage, EmptyBody, UnsupportedImage
from jobs.formats import ImageFormat, labels

AVIF_BRANDS = (b"avif", b"avis")
UNREAD = (
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"8BPS", "Photoshop"),
    (b"%PDF-", "PDF"),
    (b"\0\0\1\0", "icon"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
)
"""Signatures of files that are not read, with their names for the refusal."""
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")
GIF_SEARCHED_BYTES = 1 << 20
"""How much of a GIF is searched for a second frame, which only decides between two errors."""


def format_of(data: bytes) -> ImageFormat:
    """Return the format that the signature names.

    Raises EmptyBody, AnimatedImage for an animated GIF, and UnsupportedImage for any other file.
    """
    if not data:
        raise EmptyBody
    if data.startswith(PNG_SIGNATURE):
        return ImageFormat.PNG
    if data.startswith(b"\xff\xd8\xff"):
        return ImageFormat.JPEG
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _if_built(ImageFormat.WEBP)
    if data[4:8] == b"ftyp" and _has_brand(data, AVIF_BRANDS):
        return _if_built(ImageFormat.AVIF)
    if data.startswith((CODESTREAM, CONTAINER)):
        return ImageFormat.JXL
    if data[:6] in (b"GIF87a", b"GIF89a") and _is_animated_gif(data):
        raise AnimatedImage
    raise _unsupported(data)


def _unsupported(data: bytes) -> UnsupportedImage:
    """Return the error for a file that is not read, which names its kind where that is known."""
    name = next((name for start, name in UNREAD if data.startswith(start)), None)
    if data[4:8] == b"ftyp" and _has_brand(data, HEIC_BRANDS):
        name = "HEIC"
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


def _is_animated_gif(data: bytes) -> bool:
    try:
        return bool(GifImageFile(io.BytesIO(data[:GIF_SEARCHED_BYTES])).is_animated)
    except Exception:  # unreadable: unsupported all the same
        return False

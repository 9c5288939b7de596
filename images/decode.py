"""Encoded bytes to a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile

from images.colour import fitting, to_srgb
from images.containers.png_parts import profile
from images.exif import cleaned
from images.header import GREY_MODES, ImageHeader
from images.jpeg import decode_jpeg
from images.jxl import decode_jxl, packed_exif
from images.opening import OpenedImage, open_image
from images.picture import Picture, PictureKind, Raster, Samples
from images.png import decode_png
from jobs.errors import AnysrError, CorruptImage
from jobs.formats import ImageFormat

_AS_THEY_ARE = frozenset({"L", "LA", "RGB", "RGBA"})


@dataclass(frozen=True)
class _Stored:
    samples: Samples
    """[H, W] or [H, W, C] of 8 or 16 bits, before the orientation is applied."""
    icc: bytes | None
    exif: bytes
    """A bounded TIFF record."""


def decode(data: bytes, max_pixels: int) -> Picture:
    """Decode an image and turn it upright.

    Raises what `images.opening.open_image` raises (the size is checked before a pixel is decoded),
    and CorruptImage for data that is damaged anywhere.
    """
    opened = open_image(data, max_pixels)
    try:
        stored = _stored(data, opened)
    except (AnysrError, MemoryError):
        raise
    except Exception as error:  # decoders of foreign bytes raise whatever they stumble over
        raise CorruptImage from error
    return _picture(stored, opened.header)


def _stored(data: bytes, opened: OpenedImage) -> _Stored:
    if opened.image is None:
        return _Stored(*decode_jxl(data, opened.header.pixels), opened.exif or packed_exif(data))
    if opened.header.format is ImageFormat.PNG:
        return _Stored(decode_png(data), profile(data), opened.exif)
    if opened.header.format is ImageFormat.JPEG:
        return _Stored(*_jpeg(data, opened.image), opened.exif)
    return _Stored(*_by_pillow(opened.image), opened.exif)


def _jpeg(data: bytes, image: ImageFile) -> tuple[Samples, bytes | None]:
    samples, icc = decode_jpeg(data, image.mode), image.info.get("icc_profile")
    if image.mode != "CMYK":
        return samples, icc
    inks = Image.fromarray(np.invert(samples, out=samples), "CMYK")
    return np.asarray(to_srgb(inks, icc)), None


def _by_pillow(image: ImageFile) -> tuple[Samples, bytes | None]:
    """Return samples and profile of an image that Pillow decodes."""
    image.load()
    return np.asarray(_plain(image)), image.info.get("icc_profile")


def _plain(image: Image.Image) -> Image.Image:
    """Return the image as L, LA, RGB or RGBA; a transparent colour becomes an alpha channel."""
    transparent = image.has_transparency_data
    if image.mode in _AS_THEY_ARE and (not transparent or image.mode in {"LA", "RGBA"}):
        return image
    if image.mode in GREY_MODES:
        return image.convert("LA" if transparent else "L")
    return image.convert("RGBA" if transparent else "RGB")


def _picture(stored: _Stored, header: ImageHeader) -> Picture:
    samples = stored.samples if stored.samples.ndim == 3 else stored.samples[:, :, None]
    samples = _upright(samples, header.orientation)
    channels = 1 if samples.shape[2] < 3 else 3
    return Picture(
        Raster(samples),
        kind=_kind(header, channels),
        icc=fitting(stored.icc, channels),
        exif=cleaned(stored.exif),
    )


def _kind(header: ImageHeader, channels: int) -> PictureKind:
    if channels == 1:
        return PictureKind.GREY
    return PictureKind.PALETTE if header.mode == "P" else PictureKind.COLOUR


def _upright(samples: Samples, orientation: int) -> Samples:
    """Undo an EXIF orientation (1 to 8) of samples [H, W, C]."""
    if orientation > 4:
        samples = samples.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    return np.ascontiguousarray(samples)

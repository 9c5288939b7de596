"""Encoded bytes to a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile

from jobs.errors import AnysrError, CorruptImage
from jobs.image_header import ImageHeader, open_lazily, read_exif, read_header
from workers.colour import fitting, to_srgb
from workers.exif import cleaned
from workers.picture import FloatArray, Picture, PictureKind
from workers.png import decode_png

_GREY_MODES = frozenset({"1", "L", "LA", "I;16"})
_AS_THEY_ARE = frozenset({"L", "LA", "RGB", "RGBA"})


@dataclass(frozen=True)
class _Raster:
    samples: NDArray[np.generic]
    """[H, W] or [H, W, C], 8 or 16 bits, not yet turned upright."""
    icc: bytes | None


def decode(data: bytes, max_pixels: int) -> Picture:
    """Decode a PNG, JPEG, WebP or AVIF image and turn it upright.

    Raises what `jobs.image_header.read_header` raises (the size is checked before a pixel is
    decoded), and CorruptImage for data that is damaged anywhere.
    """
    header = read_header(data, max_pixels)
    image = open_lazily(data, header.format)
    exif = cleaned(read_exif(image, data))
    try:
        raster = _sixteen_bits(data, image) if header.bit_depth == 16 else _eight_bits(image)
    except (AnysrError, MemoryError):
        raise
    except Exception as error:  # decoders of foreign bytes raise whatever they stumble over
        raise CorruptImage from error
    return _picture(raster, header, exif)


def _sixteen_bits(data: bytes, image: ImageFile) -> _Raster:
    return _Raster(decode_png(data), image.info.get("icc_profile"))


def _eight_bits(image: ImageFile) -> _Raster:
    image.load()
    icc = image.info.get("icc_profile")
    if image.mode == "CMYK":
        return _Raster(np.asarray(to_srgb(image, icc)), None)
    return _Raster(np.asarray(_plain(image)), icc)


def _plain(image: Image.Image) -> Image.Image:
    """Return the image as L, LA, RGB or RGBA, a transparent colour made an alpha channel."""
    transparent = image.has_transparency_data
    if image.mode in _AS_THEY_ARE and (not transparent or image.mode in {"LA", "RGBA"}):
        return image
    if image.mode in _GREY_MODES:
        return image.convert("LA" if transparent else "L")
    return image.convert("RGBA" if transparent else "RGB")


def _picture(raster: _Raster, header: ImageHeader, exif: bytes) -> Picture:
    samples = raster.samples if raster.samples.ndim == 3 else raster.samples[:, :, None]
    planes = _upright(_unit(np.moveaxis(samples, 2, 0)), header.orientation)
    channels = 1 if len(planes) < 3 else 3
    return Picture(
        colour=planes[:channels],
        alpha=planes[-1] if len(planes) in (2, 4) else None,
        kind=_kind(header, channels),
        bit_depth=header.bit_depth,
        icc=fitting(raster.icc, channels),
        exif=exif,
    )


def _kind(header: ImageHeader, channels: int) -> PictureKind:
    if channels == 1:
        return PictureKind.GREY
    return PictureKind.PALETTE if header.mode == "P" else PictureKind.COLOUR


def _unit(planes: NDArray[Any]) -> FloatArray:
    largest = np.float32(np.iinfo(planes.dtype).max)
    return np.ascontiguousarray(planes, dtype=np.float32) / largest


def _upright(planes: FloatArray, orientation: int) -> FloatArray:
    """Undo an EXIF orientation (1 to 8) of planes [C, H, W]."""
    if orientation > 4:
        planes = planes.transpose(0, 2, 1)
    if orientation in (2, 3, 6, 7):
        planes = planes[:, :, ::-1]
    if orientation in (3, 4, 7, 8):
        planes = planes[:, ::-1]
    return np.ascontiguousarray(planes)

"""Encoded bytes to a picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile

from images.apng import decode_apng
from images.avif_by_libavif import decode_deep_avif, decode_deep_frame, libavif_found
from images.bmp import decode_runs, visible
from images.colour import fitting, full_range, to_srgb
from images.colour_space import SRGB, Cicp, ColourSpace
from images.compression.avif import coded_colours
from images.containers.avif import read_avif
from images.containers.avif_tracks import read_tracks
from images.containers.bmp import RUNS, read_bmp
from images.containers.gif import read_gif
from images.containers.heic import read_heic
from images.containers.png_parts import MAX_PROFILE_BYTES, profile
from images.containers.tiff import read_tiff
from images.deep_apng import decode_deep_apng
from images.gif import decode_gif
from images.header import GREY_MODES, ImageHeader
from images.heic import decode_heic
from images.jpeg import decode_jpeg
from images.jxl import decode_jxl, packed_exif
from images.metadata.extraction import extract_metadata
from images.opening import OpenedImage, open_image
from images.picture import Picture, PictureKind, Raster, Samples
from images.png import decode_png
from images.png_colour import space_of_png
from images.tiff import decode_tiff, profile_of_tiff
from jobs.errors import AnysrError, CorruptImage
from jobs.formats import ImageFormat

_AS_THEY_ARE = frozenset({"L", "LA", "RGB", "RGBA"})


@dataclass(frozen=True)
class _Decoded:
    samples: Samples
    """[H, W] or [H, W, C] of 8 or 16 bits, before the orientation is applied."""
    icc: bytes | None
    exif: bytes
    """A bounded TIFF record."""
    space: ColourSpace | None = None
    narrow: bool = False
    """Colours have the narrow range of video."""
    converted: bool = False
    """Samples were converted from colours that cannot be kept."""


def decode(data: bytes, max_pixels: int, frame: int | None = None) -> Picture:
    """Decode an image, or a frame or page of it, and turn it upright.

    Raises what `images.opening.open_image` raises (the size is checked before a pixel is decoded),
    and CorruptImage for data that is damaged anywhere.
    """
    opened = open_image(data, max_pixels, frame)
    try:
        stored = _decoded(data, opened)
    except (AnysrError, MemoryError):
        raise
    except Exception as error:  # decoders of foreign bytes raise whatever they stumble over
        raise CorruptImage from error
    return _picture(data, stored, opened.header)


def _decoded(data: bytes, opened: OpenedImage) -> _Decoded:
    header, image = opened.header, opened.image
    if image is None:
        return _ALONE[header.format](data, header, opened.exif)
    if header.format is ImageFormat.PNG:
        return _decoded_png(data, header, opened.exif)
    if header.format is ImageFormat.AVIF:
        return _decoded_avif(data, header, image, opened.exif)
    if header.format is ImageFormat.JPEG:
        return _decoded_jpeg(data, image, opened.exif)
    if header.format is ImageFormat.BMP:
        return _Decoded(_bmp_samples(data, image), None, opened.exif)
    return _Decoded(*_by_pillow(image), opened.exif)


def _decoded_jxl(data: bytes, header: ImageHeader, exif: bytes) -> _Decoded:
    jxl = decode_jxl(data, header.pixels, header.frame or 0)
    record = exif or packed_exif(data)
    return _Decoded(jxl.samples, jxl.icc, record, jxl.space, converted=jxl.converted)


def _decoded_tiff(data: bytes, header: ImageHeader, exif: bytes) -> _Decoded:
    stated = read_tiff(data, header.frame or 0)
    icc = profile_of_tiff(data, stated, MAX_PROFILE_BYTES)
    return _Decoded(decode_tiff(data, stated), icc, exif)


def _decoded_heic(data: bytes, _: ImageHeader, exif: bytes) -> _Decoded:
    stated = read_heic(data)
    samples, icc = decode_heic(data, stated)
    icc = fitting(icc, _colours(samples))
    space = Cicp.stated(*stated.code_points) if stated.code_points and icc is None else None
    return _Decoded(samples, icc, exif, space)


def _decoded_gif(data: bytes, header: ImageHeader, exif: bytes) -> _Decoded:
    return _Decoded(decode_gif(data, read_gif(data), header.frame or 0), None, exif)


_ALONE: dict[ImageFormat, Callable[[bytes, ImageHeader, bytes], _Decoded]] = {
    ImageFormat.JXL: _decoded_jxl,
    ImageFormat.TIFF: _decoded_tiff,
    ImageFormat.HEIC: _decoded_heic,
    ImageFormat.GIF: _decoded_gif,
}
"""Decoders beside Pillow's, of a file, its header and its EXIF record."""


def _decoded_png(data: bytes, header: ImageHeader, exif: bytes) -> _Decoded:
    icc = fitting(profile(data), header.colours)
    samples = _png_samples(data, header)
    return _Decoded(samples, icc, exif, *space_of_png(data, icc is not None))


def _png_samples(data: bytes, header: ImageHeader) -> Samples:
    if header.frame is None:
        return decode_png(data)
    decode_frame = decode_deep_apng if header.bit_depth == 16 else decode_apng
    return decode_frame(data, header.frame)


def _decoded_jpeg(data: bytes, image: ImageFile, exif: bytes) -> _Decoded:
    samples, icc = decode_jpeg(data, image.mode), image.info.get("icc_profile")
    if image.mode != "CMYK":
        return _Decoded(samples, icc, exif)
    inks = Image.fromarray(np.invert(samples, out=samples), "CMYK")
    return _Decoded(np.asarray(to_srgb(inks, icc)), None, exif, SRGB, converted=True)


def _decoded_avif(data: bytes, header: ImageHeader, image: ImageFile, exif: bytes) -> _Decoded:
    """A profile counts over code points, and those of the container over those of the stream."""
    if header.frame is not None:
        return _decoded_frame(data, header, image, exif)
    stated = read_avif(data)
    deep = header.bit_depth == 16
    samples = decode_deep_avif(data, stated.bits) if deep else _by_pillow(image)[0]
    icc = fitting(image.info.get("icc_profile"), _colours(samples))
    points = stated.code_points or coded_colours(data)
    space = Cicp.stated(*points) if points and icc is None else None
    return _Decoded(samples, icc, exif, space)


def _decoded_frame(data: bytes, header: ImageHeader, image: ImageFile, exif: bytes) -> _Decoded:
    """Return a frame of an animated AVIF: one of 8 bits, or where libavif is missing, as Pillow
    decodes it."""
    if header.bit_depth == 16 and libavif_found():
        samples = decode_deep_frame(data, header.frame or 0, header.width, header.height)
    else:
        samples, _ = _by_pillow(image)
    icc = fitting(image.info.get("icc_profile"), _colours(samples))
    points = read_tracks(data)[0].code_points
    space = Cicp.stated(*points) if points and icc is None else None
    return _Decoded(samples, icc, exif, space)


def _bmp_samples(data: bytes, image: ImageFile) -> Samples:
    stated = read_bmp(data)
    if stated.compression in RUNS:
        return decode_runs(data, stated)
    samples, _ = _by_pillow(image)
    return visible(samples) if stated.alpha else samples


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


def _colours(samples: Samples) -> int:
    """Return the number of channels without alpha, 1 or 3."""
    return 1 if samples.ndim == 2 or samples.shape[2] < 3 else 3


def _picture(data: bytes, stored: _Decoded, header: ImageHeader) -> Picture:
    samples = stored.samples if stored.samples.ndim == 3 else stored.samples[:, :, None]
    samples = _upright(full_range(samples) if stored.narrow else samples, header.orientation)
    channels = _colours(samples)
    metadata = extract_metadata(data, header, stored.exif)
    return Picture(
        Raster(samples),
        kind=_kind(header, channels),
        icc=fitting(stored.icc, channels),
        metadata=metadata.everything,
        rights=metadata.rights,
        space=stored.space,
        converted=stored.converted or stored.narrow,
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

"""HEIC by libheif and libde265, which pi-heif brings."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from images import libheif
from images.alpha_weighting import unpremultiplied
from images.colour import widened
from images.containers.heic import HeicHeader, has_missing_pixels
from images.picture import Samples
from jobs.errors import MISSING_PIXELS, CorruptImage, UnsupportedImage
from jobs.formats import ImageFormat

THREADS = 2
"""More threads take more memory; a worker has few cores."""


class HeifError(Exception):
    """libheif refused the data."""


def reads_heic() -> bool:
    """Return whether this installation does."""
    return libheif.libheif() is not None


def decode_heic(data: bytes, header: HeicHeader) -> tuple[Samples, bytes | None]:
    """Return the samples [H, W, 1..4] of 8 or 16 bits, cropped, turned and mirrored as the file
    states, and its ICC profile.

    Raises HeifError for data that is damaged or incomplete, CorruptImage for a hole in it,
    ValueError where the file holds something else than its header states, and UnsupportedImage
    where pi-heif is missing.
    """
    library = libheif.libheif()
    if library is None:
        raise UnsupportedImage(f"This installation cannot read {ImageFormat.HEIC.label}.")
    if has_missing_pixels(data):
        raise CorruptImage(MISSING_PIXELS)
    with _context(library, data) as context, _primary(library, context) as handle:
        with _decoded(library, handle, header) as image:
            samples = _samples(library, image, header)
        if library.heif_image_handle_is_premultiplied_alpha(handle):
            samples = unpremultiplied(samples)
        return samples, _profile(library, handle)


def _check(error: libheif.Error) -> None:
    if error.code != libheif.OK:
        raise HeifError(error.message)


@contextmanager
def _context(library: ctypes.CDLL, data: bytes) -> Iterator[int]:
    context = library.heif_context_alloc()
    if not context:
        raise MemoryError
    try:
        library.heif_context_set_max_decoding_threads(context, THREADS)
        _check(library.heif_context_read_from_memory_without_copy(context, data, len(data), None))
        yield context
    finally:
        library.heif_context_free(context)


@contextmanager
def _primary(library: ctypes.CDLL, context: int) -> Iterator[ctypes.c_void_p]:
    handle = ctypes.c_void_p()
    _check(library.heif_context_get_primary_image_handle(context, handle))
    try:
        yield handle
    finally:
        library.heif_image_handle_release(handle)


@contextmanager
def _decoded(
    library: ctypes.CDLL, handle: ctypes.c_void_p, header: HeicHeader
) -> Iterator[ctypes.c_void_p]:
    options = library.heif_decoding_options_alloc()
    if not options:
        raise MemoryError
    image = ctypes.c_void_p()
    try:
        options.contents.strict_decoding = 1
        _check(library.heif_decode_image(handle, image, *_layout(header), options))
        yield image
    finally:
        library.heif_image_release(image)
        library.heif_decoding_options_free(options)


def _layout(header: HeicHeader) -> tuple[int, int]:
    """Return colour space and layout of the planes to ask for."""
    if header.grey:
        return libheif.MONOCHROME, libheif.CHROMA_MONOCHROME
    if header.bits > 8:
        deep = libheif.CHROMA_DEEP_RGBA if header.alpha else libheif.CHROMA_DEEP_RGB
        return libheif.RGB, deep
    return libheif.RGB, libheif.CHROMA_RGBA if header.alpha else libheif.CHROMA_RGB


def _samples(library: ctypes.CDLL, image: ctypes.c_void_p, header: HeicHeader) -> Samples:
    """Return a copy of the samples, with levels of 8 or 16 bits."""
    if not header.grey:
        return _plane(library, image, libheif.CHANNEL_INTERLEAVED, header, 3 + header.alpha)
    channels = (libheif.CHANNEL_Y, libheif.CHANNEL_ALPHA)[: 1 + header.alpha]
    planes = [_plane(library, image, channel, header, 1) for channel in channels]
    return planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2)


def _plane(
    library: ctypes.CDLL, image: ctypes.c_void_p, channel: int, header: HeicHeader, samples: int
) -> Samples:
    """Return a plane [H, W, samples]."""
    row_bytes = ctypes.c_size_t()
    place = library.heif_image_get_plane_readonly2(image, channel, row_bytes)
    width = library.heif_image_get_width(image, channel)
    height = library.heif_image_get_height(image, channel)
    bits = library.heif_image_get_bits_per_pixel_range(image, channel)
    if not place or (width, height) != (header.width, header.height) or bits > header.bits:
        raise ValueError("not what the header states")
    kind: Any = np.uint16 if bits > 8 else np.uint8
    count = row_bytes.value // np.dtype(kind).itemsize
    if count < width * samples:
        raise ValueError("rows that are too short")
    memory = (ctypes.c_uint8 * (row_bytes.value * height)).from_address(place)
    rows = np.frombuffer(memory, kind).reshape(height, count)[:, : width * samples]
    stored = rows.reshape(height, width, samples)
    if header.bits > 8:
        return widened(stored, bits)
    return np.array(stored)


def _profile(library: ctypes.CDLL, handle: ctypes.c_void_p) -> bytes | None:
    size = library.heif_image_handle_get_raw_color_profile_size(handle)
    if not size:
        return None
    profile = ctypes.create_string_buffer(size)
    _check(library.heif_image_handle_get_raw_color_profile(handle, profile))
    return profile.raw

"""libwebp's C interface, in the library that imagecodecs brings: its own function, and Pillow's,
cannot ask for sharp chroma. Structures are those of webp/encode.h (ABI 0x020f, libwebp 0.6 on).
"""

from __future__ import annotations

import ctypes
import functools
from ctypes import POINTER, byref, c_float, c_int, c_size_t, c_uint32, c_void_p
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from images.bundled import Signatures, bundled_library

ABI = 0x020F


class WebpError(Exception):
    """libwebp refused: memory is short, or a setting is not valid."""


class _Config(ctypes.Structure):
    _fields_: ClassVar = [
        ("lossless", c_int),
        ("quality", c_float),
        ("method", c_int),
        ("others", c_int * 23),  # from image_hint to use_delta_palette
        ("use_sharp_yuv", c_int),
        ("qmin", c_int),
        ("qmax", c_int),
    ]


class _Picture(ctypes.Structure):
    _fields_: ClassVar = [
        ("use_argb", c_int),
        ("colorspace", c_int),
        ("width", c_int),
        ("height", c_int),
        ("y", c_void_p),
        ("u", c_void_p),
        ("v", c_void_p),
        ("y_stride", c_int),
        ("uv_stride", c_int),
        ("a", c_void_p),
        ("a_stride", c_int),
        ("pad1", c_uint32 * 2),
        ("argb", c_void_p),
        ("argb_stride", c_int),
        ("pad2", c_uint32 * 3),
        ("writer", c_void_p),
        ("custom_ptr", c_void_p),
        ("extra_info_type", c_int),
        ("extra_info", c_void_p),
        ("stats", c_void_p),
        ("error_code", c_int),
        ("progress_hook", c_void_p),
        ("user_data", c_void_p),
        ("pad3", c_uint32 * 3),
        ("pad4", c_void_p * 2),
        ("pad6", c_uint32 * 8),
        ("memory", c_void_p),
        ("memory_argb", c_void_p),
        ("pad7", c_void_p * 2),
    ]


class _Writer(ctypes.Structure):
    _fields_: ClassVar = [
        ("mem", c_void_p),
        ("size", c_size_t),
        ("max_size", c_size_t),
        ("pad", c_uint32),
    ]


_FUNCTIONS: Signatures = {
    "WebPConfigInitInternal": (c_int, [POINTER(_Config), c_int, c_float, c_int]),
    "WebPPictureInitInternal": (c_int, [POINTER(_Picture), c_int]),
    "WebPPictureImportRGB": (c_int, [POINTER(_Picture), c_void_p, c_int]),
    "WebPPictureImportRGBA": (c_int, [POINTER(_Picture), c_void_p, c_int]),
    "WebPMemoryWrite": (c_int, [c_void_p, c_size_t, POINTER(_Picture)]),
    "WebPMemoryWriterInit": (None, [POINTER(_Writer)]),
    "WebPMemoryWriterClear": (None, [POINTER(_Writer)]),
    "WebPEncode": (c_int, [POINTER(_Config), POINTER(_Picture)]),
    "WebPPictureFree": (None, [POINTER(_Picture)]),
}


@functools.cache
def libwebp() -> ctypes.CDLL | None:
    """Return the library with its functions declared, None where this installation has none."""
    return bundled_library("imagecodecs._webp", _FUNCTIONS)


def encode_sharp(
    library: ctypes.CDLL, samples: NDArray[np.uint8], quality: int, method: int
) -> bytes:
    """Return contiguous samples [H, W, 3 or 4] as a lossy WebP whose halved chroma is fitted so
    that the decoded colours are nearest. Raises WebpError."""
    config, picture, writer = _Config(), _Picture(), _Writer()
    ready = library.WebPConfigInitInternal(byref(config), 0, quality, ABI)
    if not ready or not library.WebPPictureInitInternal(byref(picture), ABI):
        raise WebpError("another version of libwebp")
    config.method, config.use_sharp_yuv = method, 1
    picture.use_argb = 1
    picture.height, picture.width, channels = samples.shape
    library.WebPMemoryWriterInit(byref(writer))
    picture.writer = ctypes.cast(library.WebPMemoryWrite, c_void_p).value
    picture.custom_ptr = ctypes.addressof(writer)
    taken = library.WebPPictureImportRGB if channels == 3 else library.WebPPictureImportRGBA
    try:
        if not taken(byref(picture), samples.ctypes.data, samples.strides[0]):
            raise MemoryError
        if not library.WebPEncode(byref(config), byref(picture)):
            raise WebpError(f"error {picture.error_code}")
        return ctypes.string_at(writer.mem, writer.size)
    finally:
        library.WebPMemoryWriterClear(byref(writer))
        library.WebPPictureFree(byref(picture))

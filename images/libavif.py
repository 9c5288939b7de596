"""libavif's C interface, in the library that imagecodecs brings.

Pillow writes 8 bits and no code points of colours, imagecodecs' own function no metadata, so
libavif is called directly, as libjxl is (`images.libjxl`). Structures are the beginnings of those
of avif/avif.h, which libavif 1.x keeps; the library itself allocates them.
"""

from __future__ import annotations

import ctypes
import functools
from ctypes import (
    POINTER,
    c_char_p,
    c_int,
    c_size_t,
    c_uint16,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import ClassVar

from images.bundled import Signatures, bundled_library

OK = 0
YUV444, YUV420, YUV400 = 1, 3, 4
FULL_RANGE = 1
RGB, RGBA = 0, 1
ALPHA_SIZE_REQUIRED = 1 << 2
"""The one strict check of a file that Pillow leaves on as well: others refuse files that are only
unusual."""
TRACKS = 2
"""A decoder's source: the frames of an animation, not the picture that stands for them."""


class Data(ctypes.Structure):
    """Bytes that the library allocates."""

    _fields_: ClassVar = [("data", c_void_p), ("size", c_size_t)]


class Picture(ctypes.Structure):
    """The beginning of avifImage."""

    _fields_: ClassVar = [
        ("width", c_uint32),
        ("height", c_uint32),
        ("depth", c_uint32),
        ("yuv_format", c_int),
        ("yuv_range", c_int),
        ("chroma_position", c_int),
        ("yuv_planes", c_void_p * 3),
        ("yuv_row_bytes", c_uint32 * 3),
        ("owns_yuv", c_int),
        ("alpha_plane", c_void_p),
        ("alpha_row_bytes", c_uint32),
        ("owns_alpha", c_int),
        ("alpha_premultiplied", c_int),
        ("icc", Data),
        ("primaries", c_uint16),
        ("transfer", c_uint16),
        ("matrix", c_uint16),
    ]


class Pixels(ctypes.Structure):
    """avifRGBImage, with room for fields that later versions append."""

    _fields_: ClassVar = [
        ("width", c_uint32),
        ("height", c_uint32),
        ("depth", c_uint32),
        ("format", c_int),
        ("upsampling", c_int),
        ("downsampling", c_int),
        ("avoid_libyuv", c_int),
        ("ignore_alpha", c_int),
        ("premultiplied", c_int),
        ("is_float", c_int),
        ("max_threads", c_int),
        ("pixels", c_void_p),
        ("row_bytes", c_uint32),
        ("later", c_uint64 * 8),
    ]


class Decoder(ctypes.Structure):
    """The beginning of avifDecoder."""

    _fields_: ClassVar = [
        ("codec", c_int),
        ("max_threads", c_int),
        ("source", c_int),
        ("progressive", c_int),
        ("incremental", c_int),
        ("ignore_exif", c_int),
        ("ignore_xmp", c_int),
        ("most_pixels", c_uint32),
        ("most_side", c_uint32),
        ("most_frames", c_uint32),
        ("strict_flags", c_uint32),
        ("picture", POINTER(Picture)),
        ("frame", c_int),
        ("frames", c_int),
    ]


class Encoder(ctypes.Structure):
    """The beginning of avifEncoder."""

    _fields_: ClassVar = [
        ("codec", c_int),
        ("max_threads", c_int),
        ("speed", c_int),
        ("keyframe_interval", c_int),
        ("timescale", c_uint64),
        ("repetitions", c_int),
        ("extra_layers", c_uint32),
        ("quality", c_int),
        ("alpha_quality", c_int),
        ("quantizers", c_int * 4),
        ("tile_rows_log2", c_int),
        ("tile_columns_log2", c_int),
        ("auto_tiling", c_int),
    ]


_Picture, _Pixels, _Decoder, _Encoder, _Data = (
    POINTER(Picture),
    POINTER(Pixels),
    POINTER(Decoder),
    POINTER(Encoder),
    POINTER(Data),
)
_FUNCTIONS: Signatures = {
    "avifVersion": (c_char_p, []),
    "avifImageCreate": (_Picture, [c_uint32, c_uint32, c_uint32, c_int]),
    "avifImageDestroy": (None, [_Picture]),
    "avifImageSetProfileICC": (c_int, [_Picture, c_char_p, c_size_t]),
    "avifImageSetMetadataExif": (c_int, [_Picture, c_char_p, c_size_t]),
    "avifImageSetMetadataXMP": (c_int, [_Picture, c_char_p, c_size_t]),
    "avifRGBImageSetDefaults": (None, [_Pixels, _Picture]),
    "avifImageRGBToYUV": (c_int, [_Picture, _Pixels]),
    "avifImageYUVToRGB": (c_int, [_Picture, _Pixels]),
    "avifDecoderCreate": (_Decoder, []),
    "avifDecoderDestroy": (None, [_Decoder]),
    "avifDecoderSetIOMemory": (c_int, [_Decoder, c_char_p, c_size_t]),
    "avifDecoderParse": (c_int, [_Decoder]),
    "avifDecoderNthImage": (c_int, [_Decoder, c_uint32]),
    "avifEncoderCreate": (_Encoder, []),
    "avifEncoderDestroy": (None, [_Encoder]),
    "avifEncoderWrite": (c_int, [_Encoder, _Picture, _Data]),
    "avifRWDataFree": (None, [_Data]),
}


@functools.cache
def libavif() -> ctypes.CDLL | None:
    """Return the library with its functions declared, None where this installation has none whose
    structures are known."""
    library = bundled_library("imagecodecs._avif", _FUNCTIONS)
    if library is None or not library.avifVersion().startswith(b"1."):
        return None
    return library

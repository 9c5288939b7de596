"""libjxl's C interface, in the library that imagecodecs brings.

imagecodecs' own functions know neither profiles nor metadata, so libjxl is called directly: the
symbols are looked up through imagecodecs' extension module, wherever its library lies. Structures
are those of jxl/codestream_header.h, color_encoding.h and types.h (libjxl 0.9 on).
"""

from __future__ import annotations

import ctypes
import functools
from ctypes import (
    POINTER,
    c_char_p,
    c_double,
    c_float,
    c_int,
    c_size_t,
    c_uint8,
    c_uint32,
    c_void_p,
)
from typing import ClassVar

from images.bundled import Signatures, bundled_library

SUCCESS, ERROR = 0, 1
"""Of decoder and encoder."""
NEED_MORE_OUTPUT = 2
"""Of the encoder."""
NEED_IMAGE_OUT_BUFFER, BASIC_INFO, COLOR_ENCODING, FULL_IMAGE = 5, 0x40, 0x100, 0x1000
"""Of the decoder."""
FLOAT, UINT8, UINT16 = 0, 2, 3
"""Data types; samples are in the machine's own order of bytes."""
PROFILE_ORIGINAL, PROFILE_DATA = 0, 1
EFFORT = 0
"""The setting of a frame."""


class PixelFormat(ctypes.Structure):
    """How samples lie in memory."""

    _fields_: ClassVar = [
        ("num_channels", c_uint32),
        ("data_type", c_int),
        ("endianness", c_int),
        ("align", c_size_t),
    ]


class BasicInfo(ctypes.Structure):
    """The facts of a picture."""

    _fields_: ClassVar = [
        ("have_container", c_int),
        ("xsize", c_uint32),
        ("ysize", c_uint32),
        ("bits_per_sample", c_uint32),
        ("exponent_bits_per_sample", c_uint32),
        ("intensity_target", c_float),
        ("min_nits", c_float),
        ("relative_to_max_display", c_int),
        ("linear_below", c_float),
        ("uses_original_profile", c_int),
        ("have_preview", c_int),
        ("have_animation", c_int),
        ("orientation", c_int),
        ("num_color_channels", c_uint32),
        ("num_extra_channels", c_uint32),
        ("alpha_bits", c_uint32),
        ("alpha_exponent_bits", c_uint32),
        ("alpha_premultiplied", c_int),
        ("preview", c_uint32 * 2),
        ("animation", c_uint32 * 4),
        ("intrinsic_xsize", c_uint32),
        ("intrinsic_ysize", c_uint32),
        ("padding", c_uint8 * 100),
    ]


class ColorEncoding(ctypes.Structure):
    """A colour space without a profile."""

    _fields_: ClassVar = [
        ("color_space", c_int),
        ("white_point", c_int),
        ("white_point_xy", c_double * 2),
        ("primaries", c_int),
        ("primaries_xy", c_double * 6),
        ("transfer_function", c_int),
        ("gamma", c_double),
        ("rendering_intent", c_int),
    ]


_Allocate = ctypes.CFUNCTYPE(c_void_p, c_void_p, c_size_t)
_Free = ctypes.CFUNCTYPE(None, c_void_p, c_void_p)


class MemoryManager(ctypes.Structure):
    """What a decoder takes its memory by."""

    _fields_: ClassVar = [("opaque", c_void_p), ("allocate", _Allocate), ("free", _Free)]


class BoundedMemory:
    """Memory for one decoder, up to a bound: the header's size does not bound the frames of a
    hostile file, which may be larger."""

    def __init__(self, most: int) -> None:
        self._left = most
        self._sizes: dict[int, int] = {}
        system = ctypes.CDLL(None)
        self._allocate, self._free = system.malloc, system.free
        self._allocate.restype, self._allocate.argtypes = c_void_p, [c_size_t]
        self._free.restype, self._free.argtypes = None, [c_void_p]
        self.manager = MemoryManager(None, _Allocate(self._take), _Free(self._give_back))

    def _take(self, _: int | None, size: int) -> int | None:
        place: int | None = self._allocate(size) if size <= self._left else None
        if place:
            self._sizes[place] = size
            self._left -= size
        return place

    def _give_back(self, _: int | None, place: int | None) -> None:
        if place:
            self._left += self._sizes.pop(place)
            self._free(place)


_Handle, _Info, _Format, _Encoding = (
    c_void_p,
    POINTER(BasicInfo),
    POINTER(PixelFormat),
    POINTER(ColorEncoding),
)
_FUNCTIONS: Signatures = {
    "JxlDecoderCreate": (_Handle, [POINTER(MemoryManager)]),
    "JxlDecoderDestroy": (None, [_Handle]),
    "JxlDecoderSubscribeEvents": (c_int, [_Handle, c_int]),
    "JxlDecoderSetKeepOrientation": (c_int, [_Handle, c_int]),
    "JxlDecoderSetUnpremultiplyAlpha": (c_int, [_Handle, c_int]),
    "JxlDecoderSetInput": (c_int, [_Handle, c_char_p, c_size_t]),
    "JxlDecoderCloseInput": (None, [_Handle]),
    "JxlDecoderProcessInput": (c_int, [_Handle]),
    "JxlDecoderGetBasicInfo": (c_int, [_Handle, _Info]),
    "JxlDecoderGetColorAsEncodedProfile": (c_int, [_Handle, c_int, _Encoding]),
    "JxlDecoderGetICCProfileSize": (c_int, [_Handle, c_int, POINTER(c_size_t)]),
    "JxlDecoderGetColorAsICCProfile": (c_int, [_Handle, c_int, c_char_p, c_size_t]),
    "JxlDecoderSetImageOutBuffer": (c_int, [_Handle, _Format, c_void_p, c_size_t]),
    "JxlEncoderCreate": (_Handle, [c_void_p]),
    "JxlEncoderDestroy": (None, [_Handle]),
    "JxlEncoderUseBoxes": (c_int, [_Handle]),
    "JxlEncoderAddBox": (c_int, [_Handle, c_char_p, c_char_p, c_size_t, c_int]),
    "JxlEncoderInitBasicInfo": (None, [_Info]),
    "JxlEncoderSetBasicInfo": (c_int, [_Handle, _Info]),
    "JxlEncoderSetColorEncoding": (c_int, [_Handle, _Encoding]),
    "JxlEncoderSetICCProfile": (c_int, [_Handle, c_char_p, c_size_t]),
    "JxlEncoderFrameSettingsCreate": (_Handle, [_Handle, c_void_p]),
    "JxlEncoderFrameSettingsSetOption": (c_int, [_Handle, c_int, ctypes.c_int64]),
    "JxlEncoderDistanceFromQuality": (c_float, [c_float]),
    "JxlEncoderSetFrameLossless": (c_int, [_Handle, c_int]),
    "JxlEncoderSetFrameDistance": (c_int, [_Handle, c_float]),
    "JxlEncoderAddImageFrame": (c_int, [_Handle, _Format, c_void_p, c_size_t]),
    "JxlEncoderCloseInput": (None, [_Handle]),
    "JxlEncoderProcessOutput": (c_int, [_Handle, POINTER(c_void_p), POINTER(c_size_t)]),
}


@functools.cache
def libjxl() -> ctypes.CDLL | None:
    """Return the library with its functions declared, None where this installation has none."""
    return bundled_library("imagecodecs._jpegxl", _FUNCTIONS)

"""libheif's C interface, in the library that pi-heif brings.

pi-heif's own functions copy the samples once more, and have no way to ask for errors instead of
warnings (`strict_decoding`), so libheif is called directly, as libavif is. DecodingOptions is the
beginning of heif_decoding_options (libheif/heif_decoding.h), which libheif 1.x keeps; the library
allocates it.
"""

from __future__ import annotations

import ctypes
import functools
from ctypes import POINTER, c_char_p, c_int, c_size_t, c_uint8, c_uint32, c_void_p
from typing import ClassVar

from images.bundled import Signatures, bundled_library

OK = 0
RGB, MONOCHROME = 1, 2
"""Colour spaces (libheif/heif_image.h)."""
CHROMA_MONOCHROME, CHROMA_RGB, CHROMA_RGBA, CHROMA_DEEP_RGB, CHROMA_DEEP_RGBA = 0, 10, 11, 14, 15
"""Layouts: of one plane, and interleaved, of 8 bits and of 16 with the lowest byte first."""
CHANNEL_Y, CHANNEL_ALPHA, CHANNEL_INTERLEAVED = 0, 6, 10


class Error(ctypes.Structure):
    """heif_error."""

    _fields_: ClassVar = [("code", c_int), ("subcode", c_int), ("message", c_char_p)]


class DecodingOptions(ctypes.Structure):
    """The beginning of heif_decoding_options."""

    _fields_: ClassVar = [
        ("version", c_uint8),
        ("ignore_transformations", c_uint8),
        ("start_progress", c_void_p),
        ("on_progress", c_void_p),
        ("end_progress", c_void_p),
        ("progress_user_data", c_void_p),
        ("convert_hdr_to_8bit", c_uint8),
        ("strict_decoding", c_uint8),
    ]


_Options = POINTER(DecodingOptions)
_FUNCTIONS: Signatures = {
    "heif_get_version_number": (c_uint32, []),
    "heif_context_alloc": (c_void_p, []),
    "heif_context_free": (None, [c_void_p]),
    "heif_context_set_max_decoding_threads": (None, [c_void_p, c_int]),
    "heif_context_read_from_memory_without_copy": (
        Error,
        [c_void_p, c_char_p, c_size_t, c_void_p],
    ),
    "heif_context_get_primary_image_handle": (Error, [c_void_p, POINTER(c_void_p)]),
    "heif_image_handle_release": (None, [c_void_p]),
    "heif_image_handle_is_premultiplied_alpha": (c_int, [c_void_p]),
    "heif_image_handle_get_raw_color_profile_size": (c_size_t, [c_void_p]),
    "heif_image_handle_get_raw_color_profile": (Error, [c_void_p, c_char_p]),
    "heif_decoding_options_alloc": (_Options, []),
    "heif_decoding_options_free": (None, [_Options]),
    "heif_decode_image": (Error, [c_void_p, POINTER(c_void_p), c_int, c_int, _Options]),
    "heif_image_release": (None, [c_void_p]),
    "heif_image_get_width": (c_int, [c_void_p, c_int]),
    "heif_image_get_height": (c_int, [c_void_p, c_int]),
    "heif_image_get_bits_per_pixel_range": (c_int, [c_void_p, c_int]),
    "heif_image_get_plane_readonly2": (c_void_p, [c_void_p, c_int, POINTER(c_size_t)]),
}


@functools.cache
def libheif() -> ctypes.CDLL | None:
    """Return the library with its functions declared, None where this installation has none whose
    structures are known."""
    library = bundled_library("_pi_heif", _FUNCTIONS)
    if library is None or library.heif_get_version_number() >> 24 != 1:
        return None
    return library

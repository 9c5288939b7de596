"""JPEG XL by libjxl: 8 and 16 bits, grey, transparency, profiles and EXIF as they are."""

from __future__ import annotations

import ctypes
import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from images import libjxl
from images.colour_space import SRGB, Cicp, ColourSpace
from images.containers.boxes import walk
from images.containers.jxl import CONTAINER
from images.exif import MAX_BYTES, PREFIX, bounded
from images.frames import chosen_frame
from images.jxl_colour import GREY_SPACE, encoding_of, space_of
from images.jxl_loss import part_of_distance
from images.metadata.exif_record import exif_of
from images.metadata.facts import NO_METADATA, Metadata
from images.picture import Samples, contiguous, rounded, strips
from jobs.errors import UnsupportedImage
from jobs.formats import ImageFormat

EFFORT = 3
"""libjxl's own scale, 1 to 10."""
LOSSLESS_EFFORT = 1
"""libjxl's fast coder, which takes as long as the lossy one; the next takes ten times as long."""
LEAST_DISTANCE = 0.1
"""libjxl maps quality 100 to no loss, which takes several times as long."""
FIRST_ROOM = 1 << 20
"""Bytes of the buffer for a file, which grows by as many, or by an eighth, when it is full."""
ROOM, ROOM_A_PIXEL = 64 << 20, 64
"""Bytes that a decoder may take, beside the samples: up to 17 a pixel were measured, for four
channels of 16 bits without loss."""
_TYPES = {np.uint8: libjxl.UINT8, np.uint16: libjxl.UINT16, np.float32: libjxl.FLOAT}


class JxlError(Exception):
    """libjxl refused: the data are damaged, or a setting is not valid."""


def is_built() -> bool:
    """Return whether this installation reads and writes JPEG XL."""
    return libjxl.libjxl() is not None


@dataclass(frozen=True)
class DecodedJxl:
    """Samples, and what states their colours: a profile or a name."""

    samples: Samples
    """[H, W, C] of 8 bits where the file has no more, else of 16; not turned upright."""
    icc: bytes | None
    space: Cicp | None
    converted: bool = False
    """They are in sRGB, because the file's profile could not be used."""


def decode_jxl(data: bytes, max_pixels: int, frame: int = 0) -> DecodedJxl:
    """Decode a JPEG XL, or a frame of an animation, counted from 0, composed with those before.
    Raises JxlError for damaged data and for frames that take far more memory than `max_pixels` do,
    InvalidRequest for a frame that is not there, and UnsupportedImage where libjxl is missing."""
    library = _library()
    memory = libjxl.BoundedMemory(ROOM + ROOM_A_PIXEL * max_pixels)
    with _handle(library, "Decoder", memory.manager) as decoder:
        return _Decoding(library, decoder).run(data, frame)


def packed_exif(data: bytes) -> bytes:
    """Return the EXIF record of a box that is compressed by Brotli, b"" if there is none."""
    record = packed_box(data, b"Exif", MAX_BYTES + 64)
    return bounded(record[4 + int.from_bytes(record[:4]) :])


def packed_box(data: bytes, wanted: bytes, most: int) -> bytes:
    """Return the content of the first box of a type that is compressed by Brotli, b"" if there is
    none, or if it has more than `most` bytes."""
    if not data.startswith(CONTAINER):
        return b""
    for kind, box in walk(data, 0, len(data)):
        if kind == b"brob" and data[box.start : box.start + 4] == wanted:
            try:
                return bytes(imagecodecs.brotli_decode(data[box.start + 4 : box.end], out=most))
            except (RuntimeError, ValueError):  # larger than may be, or damaged
                return b""
    return b""


def encode_jxl(
    samples: Samples,
    quality: int | None,
    icc: bytes | None = None,
    metadata: Metadata = NO_METADATA,
    space: ColourSpace | None = None,
) -> bytes:
    """Write samples [H, W, C] of 8 or 16 bits at a quality from 1 to 100, as libjxl maps it to its
    distance, or without loss: for None, and where `part_of_distance` says so. Colours are those of
    `space` where libjxl has a name for it, and else those of the profile; a profile that libjxl
    cannot use is left out."""
    library = _library()
    with _handle(library, "Encoder", None) as encoder:
        return _Encoding(library, encoder).run(samples, quality, icc, _boxes(metadata), space)


def _boxes(metadata: Metadata) -> dict[bytes, bytes]:
    """Return the boxes of metadata: type and content."""
    exif = exif_of(metadata, has_density=False).removeprefix(PREFIX)
    found = {b"Exif": bytes(4) + exif} if exif else {}  # the record begins right behind
    return found | ({b"xml ": metadata.xmp} if metadata.xmp else {})


def made_profile(encoding: libjxl.ColorEncoding) -> bytes:
    """Return the ICC profile that libjxl makes of a named colour space. Raises JxlError for a space
    of which it makes none, and UnsupportedImage where libjxl is missing."""
    library = _library()
    with _handle(library, "Encoder", None) as encoder:
        file = _Encoding(library, encoder).one_pixel(encoding)
    with _handle(library, "Decoder", None) as decoder:
        return _Decoding(library, decoder).profile(file)


def _library() -> ctypes.CDLL:
    library = libjxl.libjxl()
    if library is None:
        raise UnsupportedImage(f"This installation has no {ImageFormat.JXL.label}.")
    return library


@contextmanager
def _handle(library: ctypes.CDLL, kind: str, memory: libjxl.MemoryManager | None) -> Iterator[int]:
    handle = getattr(library, f"Jxl{kind}Create")(memory)
    if not handle:
        raise MemoryError
    try:
        yield handle
    finally:
        getattr(library, f"Jxl{kind}Destroy")(handle)


def _check(status: int) -> None:
    if status != libjxl.SUCCESS:
        raise JxlError


def _format(samples: NDArray[Any]) -> libjxl.PixelFormat:
    """Return how samples [H, W, C] lie in memory."""
    return libjxl.PixelFormat(samples.shape[2], _TYPES[samples.dtype.type], 0, 0)


class _Decoding:
    """One decoding: events of libjxl, and what they leave."""

    def __init__(self, library: ctypes.CDLL, decoder: int) -> None:
        self._library = library
        self._decoder = decoder
        self._info = libjxl.BasicInfo()
        self._icc: bytes | None = None
        self._space: Cicp | None = None
        self._linear: bytes | None = None
        """The profile of the decoded samples where they have to be converted to `_icc`."""
        self._pixels: NDArray[Any] | None = None

    def profile(self, data: bytes) -> bytes:
        """Return the profile of a picture, also of one whose colour space is named."""
        library, decoder = self._library, self._decoder
        _check(library.JxlDecoderSubscribeEvents(decoder, libjxl.COLOR_ENCODING))
        _check(library.JxlDecoderSetInput(decoder, data, len(data)))
        if library.JxlDecoderProcessInput(decoder) != libjxl.COLOR_ENCODING:
            raise JxlError
        return self._profile(libjxl.PROFILE_ORIGINAL)

    def run(self, data: bytes, frame: int) -> DecodedJxl:
        library, decoder = self._library, self._decoder
        wanted = libjxl.BASIC_INFO | libjxl.COLOR_ENCODING | libjxl.FULL_IMAGE
        _check(library.JxlDecoderSubscribeEvents(decoder, wanted))
        _check(library.JxlDecoderSetKeepOrientation(decoder, 1))
        _check(library.JxlDecoderSetUnpremultiplyAlpha(decoder, 1))
        _check(library.JxlDecoderSetInput(decoder, data, len(data)))
        library.JxlDecoderCloseInput(decoder)
        steps = {
            libjxl.BASIC_INFO: self._read_info,
            libjxl.COLOR_ENCODING: self._read_profile,
            libjxl.NEED_IMAGE_OUT_BUFFER: self._give_room,
        }
        decoded = 0
        while decoded <= frame:
            status = library.JxlDecoderProcessInput(decoder)
            decoded += status == libjxl.FULL_IMAGE
            if status == libjxl.SUCCESS and decoded:
                chosen_frame(frame, decoded)
            if status in steps:
                steps[status]()
            elif status != libjxl.FULL_IMAGE:
                raise JxlError  # damaged, or cut short
        if self._pixels is None:
            raise JxlError
        return self._converted(self._pixels)

    def _read_info(self) -> None:
        _check(self._library.JxlDecoderGetBasicInfo(self._decoder, self._info))

    def _read_profile(self) -> None:
        """Note the profile of the picture. Lossy colours come in the space that the file names;
        where that is an ICC profile, libjxl gives them in linear sRGB instead, beyond its gamut."""
        encoding = libjxl.ColorEncoding()
        get = self._library.JxlDecoderGetColorAsEncodedProfile
        named = get(self._decoder, libjxl.PROFILE_ORIGINAL, encoding) == libjxl.SUCCESS
        self._space = space_of(encoding) if named else None
        if self._space is not None:
            return
        self._icc = self._profile(libjxl.PROFILE_ORIGINAL)
        if not named and not self._info.uses_original_profile:
            self._linear = self._profile(libjxl.PROFILE_DATA)

    def _profile(self, target: int) -> bytes:
        size = ctypes.c_size_t()
        _check(self._library.JxlDecoderGetICCProfileSize(self._decoder, target, size))
        profile = ctypes.create_string_buffer(size.value)
        get = self._library.JxlDecoderGetColorAsICCProfile
        _check(get(self._decoder, target, profile, size.value))
        return profile.raw

    def _give_room(self) -> None:
        info = self._info
        channels = info.num_color_channels + (1 if info.alpha_bits else 0)
        kind = self._kind() if self._linear is None else np.float32
        pixels = np.empty((info.ysize, info.xsize, channels), kind)
        give = self._library.JxlDecoderSetImageOutBuffer
        _check(give(self._decoder, _format(pixels), pixels.ctypes.data, pixels.nbytes))
        self._pixels = pixels

    def _kind(self) -> type[np.unsignedinteger[Any]]:
        return np.uint16 if self._info.bits_per_sample > 8 else np.uint8

    def _converted(self, pixels: NDArray[Any]) -> DecodedJxl:
        """Return the samples in the picture's own profile; in sRGB where that cannot be used."""
        if self._linear is None or self._icc is None:
            return DecodedJxl(pixels, self._icc, self._space)
        for icc in (self._icc, None):
            target = icc or imagecodecs.cms_profile("srgb" if pixels.shape[2] > 2 else "gray")
            with suppress(imagecodecs.CmsError):
                made = _transformed(pixels, self._linear, target, self._kind())
                return DecodedJxl(made, icc, None if icc else SRGB, converted=icc is None)
        raise JxlError


def _transformed(
    pixels: NDArray[np.float32], source: bytes, target: bytes, kind: type[np.unsignedinteger[Any]]
) -> Samples:
    """Return pixels [H, W, C] converted to another profile and type, in strips of rows."""
    converted = np.empty(pixels.shape, kind)
    colours = 1 if pixels.shape[2] < 3 else 3
    space = "gray" if colours == 1 else "rgb"
    for rows in strips(*pixels.shape[:2]):
        part = np.ascontiguousarray(pixels[rows, :, :colours])
        converted[rows, :, :colours] = imagecodecs.cms_transform(
            part[:, :, 0] if colours == 1 else part,
            source,
            target,
            colorspace=space,
            outcolorspace=space,
            outdtype=kind,
        ).reshape(part.shape)
        converted[rows, :, colours:] = rounded(pixels[rows, :, colours:], kind)
    return converted


class _Encoding:
    """One encoding."""

    def __init__(self, library: ctypes.CDLL, encoder: int) -> None:
        self._library = library
        self._encoder = encoder

    def one_pixel(self, encoding: libjxl.ColorEncoding) -> bytes:
        """Return a picture of one pixel in a named colour space."""
        library, encoder = self._library, self._encoder
        pixel = np.zeros((1, 1, 1 if encoding.color_space == GREY_SPACE else 3), np.uint8)
        self._describe(pixel, lossless=False)
        _check(library.JxlEncoderSetColorEncoding(encoder, encoding))
        settings = library.JxlEncoderFrameSettingsCreate(encoder, None)
        self._add(settings, pixel)
        return self._written()

    def run(
        self,
        samples: Samples,
        quality: int | None,
        icc: bytes | None,
        boxes: dict[bytes, bytes],
        space: ColourSpace | None,
    ) -> bytes:
        library, encoder = self._library, self._encoder
        if boxes:
            _check(library.JxlEncoderUseBoxes(encoder))
        part = part_of_distance(samples, quality)
        self._describe(samples, lossless=part is None)
        self._colour(icc, space, grey=samples.shape[2] < 3)
        for kind, content in boxes.items():
            _check(library.JxlEncoderAddBox(encoder, kind, content, len(content), 0))
        settings = library.JxlEncoderFrameSettingsCreate(encoder, None)
        effort = self._set_loss(settings, quality, part)
        _check(library.JxlEncoderFrameSettingsSetOption(settings, libjxl.EFFORT, effort))
        self._add(settings, contiguous(samples))
        return self._written()

    def _set_loss(self, settings: int, quality: int | None, part: float | None) -> int:
        """Set a part of the distance of a quality, or no loss for None; return the effort."""
        library = self._library
        if part is None:
            _check(library.JxlEncoderSetFrameLossless(settings, 1))
            return LOSSLESS_EFFORT
        distance = max(LEAST_DISTANCE, part * library.JxlEncoderDistanceFromQuality(quality))
        _check(library.JxlEncoderSetFrameDistance(settings, distance))
        return EFFORT

    def _add(self, settings: int, samples: Samples) -> None:
        """Add the only frame; its samples are contiguous."""
        pixels, size = samples.ctypes.data, samples.nbytes
        _check(self._library.JxlEncoderAddImageFrame(settings, _format(samples), pixels, size))
        self._library.JxlEncoderCloseInput(self._encoder)

    def _describe(self, samples: Samples, lossless: bool) -> None:
        height, width, channels = samples.shape
        info = libjxl.BasicInfo()
        self._library.JxlEncoderInitBasicInfo(info)
        info.xsize, info.ysize = width, height
        info.bits_per_sample = 8 * samples.itemsize
        info.uses_original_profile = int(lossless)
        info.num_color_channels = 1 if channels < 3 else 3
        if channels in (2, 4):
            info.num_extra_channels, info.alpha_bits = 1, 8 * samples.itemsize
        _check(self._library.JxlEncoderSetBasicInfo(self._encoder, info))

    def _colour(self, icc: bytes | None, space: ColourSpace | None, grey: bool) -> None:
        library, encoder = self._library, self._encoder
        named = None if space is None else encoding_of(space, grey)
        if named and library.JxlEncoderSetColorEncoding(encoder, named) == libjxl.SUCCESS:
            return
        if icc and library.JxlEncoderSetICCProfile(encoder, icc, len(icc)) == libjxl.SUCCESS:
            return
        _check(library.JxlEncoderSetColorEncoding(encoder, encoding_of(SRGB, grey)))

    def _written(self) -> bytes:
        """Return the encoded file, written to a buffer that grows and is returned itself."""
        file, length = io.BytesIO(bytes(FIRST_ROOM)), 0
        while True:
            with file.getbuffer() as room:
                status, length = self._continued(room, length)
                more = max(FIRST_ROOM, len(room) // 8)
            if status != libjxl.NEED_MORE_OUTPUT:
                _check(status)
                file.truncate(length)
                return file.getvalue()
            file.seek(0, io.SEEK_END)
            file.write(bytes(more))

    def _continued(self, room: memoryview, length: int) -> tuple[int, int]:
        """Write on behind the first `length` bytes; return libjxl's status and the new length."""
        buffer = (ctypes.c_char * (len(room) - length)).from_buffer(room, length)
        place, left = ctypes.c_void_p(ctypes.addressof(buffer)), ctypes.c_size_t(len(buffer))
        status: int = self._library.JxlEncoderProcessOutput(self._encoder, place, left)
        return status, len(room) - left.value

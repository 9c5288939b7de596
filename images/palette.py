"""PNG with a palette, for pictures of at most 256 colours."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from images.picture import Picture, Samples, strips
from images.png import HEADER_END, written_chunks
from images.png_colour import colour_chunks

LARGEST = 256
LEVEL = 1
"""zlib's fastest: a sixth of the time of level 6 for some 17 % more bytes."""

Packed = NDArray[np.uint32]
"""One number per pixel: red, green, blue and alpha from the highest byte."""


def encode_palette_png(picture: Picture) -> bytes | None:
    """Return a picture of 3 or 4 channels of 8 bits as a PNG with a palette, None if it has more
    than 256 colours."""
    samples = picture.pixels.samples
    colours = _colours(samples)
    if colours is None:
        return None
    table = colours.astype(">u4").view(np.uint8).reshape(-1, 4)
    image = Image.fromarray(_positions(samples, colours))
    image.putpalette(table[:, :3].tobytes())
    buffer = io.BytesIO()
    image.save(
        buffer,
        format="PNG",
        compress_level=LEVEL,
        icc_profile=picture.icc,
        exif=picture.exif,
        **({"transparency": table[:, 3].tobytes()} if picture.pixels.has_alpha else {}),
    )
    stated = colour_chunks(picture.space, beside=picture.icc is not None)
    return _with_chunks(buffer.getvalue(), written_chunks(stated))


def _with_chunks(file: bytes, chunks: bytes) -> bytes:
    return file[:HEADER_END] + chunks + file[HEADER_END:] if chunks else file


def _colours(samples: Samples) -> Packed | None:
    """Return the colours in ascending order, None for more than LARGEST. The first rows of most
    upscaled pictures have more."""
    colours = _packed(samples[:1, :1]).ravel()
    for rows in strips(*samples.shape[:2]):
        packed = _packed(samples[rows]).ravel()
        known = colours[_places(packed, colours)] == packed
        colours = np.union1d(colours, packed[~known])
        if len(colours) > LARGEST:
            return None
    return colours


def _positions(samples: Samples, colours: Packed) -> NDArray[np.uint8]:
    """Return the palette index of each pixel, [H, W]."""
    positions = np.empty(samples.shape[:2], np.uint8)
    for rows in strips(*samples.shape[:2]):
        positions[rows] = _places(_packed(samples[rows]), colours)
    return positions


def _places(packed: Packed, colours: Packed) -> NDArray[np.intp]:
    """Return the insertion points of `packed` in ascending `colours`, the last index at most."""
    return np.minimum(np.searchsorted(colours, packed), len(colours) - 1)


def _packed(samples: Samples) -> Packed:
    opaque = np.full((*samples.shape[:2], 4), 255, np.uint8)
    opaque[:, :, : samples.shape[2]] = samples
    return opaque.view(">u4")[:, :, 0].astype(np.uint32)

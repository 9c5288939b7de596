"""GIF: frames decoded by Pillow, and composed here as browsers show them.

Pillow's own composition fills what no frame has covered with a colour; browsers leave it
transparent.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL.GifImagePlugin import GifImageFile

from images.containers.gif import CLEARED, INTERLACED, RESTORED, GifFrame, GifHeader
from images.picture import Samples

Canvas = NDArray[np.uint8]
"""[H, W, 4]: RGB and alpha."""


def decode_gif(data: bytes, header: GifHeader, frame: int) -> Samples:
    """Return the screen, [H, W, 3 or 4] of 8 bits, while a frame, counted from 0, is shown. Raises
    OSError or ValueError for damaged data."""
    shown = header.frames[: frame + 1]
    shown = shown[max(_hiding(shown, header), default=0) :]
    canvas = np.zeros((header.height, header.width, 4), np.uint8)
    for one in shown[:-1]:
        before = canvas.copy() if one.disposal == RESTORED else canvas
        if one.disposal != CLEARED:
            _draw(canvas, data, one)
        else:
            canvas[_place(one)] = 0
        canvas = before
    _draw(canvas, data, shown[-1])
    return canvas if header.is_transparent(frame) else np.ascontiguousarray(canvas[:, :, :3])


def _hiding(shown: Sequence[GifFrame], header: GifHeader) -> Iterator[int]:
    """Yield the places of the opaque frames that hide all before them for good."""
    last = len(shown) - 1
    for number, one in enumerate(shown):
        stays = number == last or one.disposal != RESTORED
        opaque = one.transparent is None and one.covers(header.width, header.height)
        if stays and opaque:
            yield number


def _place(frame: GifFrame) -> tuple[slice, slice]:
    rows = slice(frame.top, frame.top + frame.height)
    return rows, slice(frame.left, frame.left + frame.width)


def _draw(canvas: Canvas, data: bytes, frame: GifFrame) -> None:
    """Draw the visible pixels of a frame."""
    place = canvas[_place(frame)]  # a part of the frame, where that reaches beyond the screen
    indices = _indices(data, frame)[: place.shape[0], : place.shape[1]]
    colours = np.zeros((256, 4), np.uint8)
    palette = np.frombuffer(data[frame.palette], np.uint8).reshape(-1, 3)
    colours[: len(palette), :3], colours[:, 3] = palette, 255
    drawn = colours[indices]
    if frame.transparent is None:
        place[:] = drawn
    else:
        np.copyto(place, drawn, where=(indices != frame.transparent)[:, :, None])


def _indices(data: bytes, frame: GifFrame) -> NDArray[np.uint8]:
    """Return the places in the palette, [H, W], of a frame's pixels: decoded from a file of this
    frame alone, whose missing palette makes Pillow return them as they are."""
    screen = struct.pack("<HHBBB", frame.width, frame.height, 0, 0, 0)
    flags = INTERLACED if frame.interlaced else 0
    image = struct.pack("<BHHHHB", 0x2C, 0, 0, frame.width, frame.height, flags)
    file = b"GIF89a" + screen + image + data[frame.data] + b"\0;"
    with GifImageFile(io.BytesIO(file)) as alone:
        alone.load()
        if alone.mode != "L" or alone.size != (frame.width, frame.height):
            raise ValueError("not the frame that was to be decoded")
        return np.asarray(alone)

"""What Pillow does not make of a BMP: runs of pixels that end before the last row, as they may
(Microsoft's "Bitmap Compression"), and transparency that would hide the whole picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from images.containers.bmp import RLE4, BmpHeader
from images.picture import Samples

END_OF_ROW, END, MOVE = 0, 1, 2
"""What follows a count of 0; a larger number is that of pixels, which follow."""
_PAIRS = [bytes((both >> 4, both & 15)) for both in range(256)]
"""Two places in a palette, of 4 bits each, by the byte that holds them."""


def decode_runs(data: bytes, header: BmpHeader) -> Samples:
    """Return the colours, [H, W, 3]; pixels that no run covers have the first one of the palette.
    Raises ValueError for data that stops before its end mark and its last pixel."""
    stored = np.frombuffer(data[header.palette], np.uint8).reshape(-1, 4)
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(stored)] = stored[:, 2::-1]
    return colours[_Runs(data, header).places()]


def visible(samples: Samples) -> Samples:
    """Return samples [H, W, 4] with the fourth at its largest where it is 0 in every pixel: in such
    files it means nothing. Browsers do the same."""
    if not samples[:, :, 3].any():
        samples = np.array(samples)
        samples[:, :, 3] = np.iinfo(samples.dtype).max
    return samples


class _Runs:
    """The compressed pixels of a file, and the pixel that comes next."""

    def __init__(self, data: bytes, header: BmpHeader) -> None:
        self._data = data
        self._header = header
        self._at = header.pixels_at
        self._x = self._y = 0
        self._places = bytearray(header.width * header.height)

    def places(self) -> NDArray[np.uint8]:
        """Return the places in the palette, [H, W]."""
        width, height = self._header.width, self._header.height
        while self._y < height and (self._y, self._x) < (height - 1, width):
            count, value = self._taken(2)
            if count:
                both = _PAIRS[value] if self._packed else bytes((value, value))
                self._draw(both * ((count + 1) // 2), count)
            elif value == END:
                break
            else:
                self._escaped(value)
        rows = np.frombuffer(self._places, np.uint8).reshape(height, width)
        return rows if self._header.top_down else rows[::-1]

    @property
    def _packed(self) -> bool:
        """Whether a byte holds two pixels."""
        return self._header.compression == RLE4

    def _escaped(self, value: int) -> None:
        if value == END_OF_ROW:
            self._x, self._y = 0, self._y + 1
        elif value == MOVE:
            across, down = self._taken(2)
            self._x, self._y = self._x + across, self._y + down
        elif self._packed:
            stored = self._taken((value + 1) // 2)
            self._draw(b"".join(_PAIRS[both] for both in stored), value)
            self._at += len(stored) % 2
        else:
            self._draw(self._taken(value), value)
            self._at += value % 2

    def _taken(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        if len(taken) < count:
            raise ValueError("runs without an end")
        self._at += count
        return taken

    def _draw(self, pixels: bytes, count: int) -> None:
        """Set the next `count` pixels, as far as they lie in the row."""
        width = self._header.width
        seen = max(0, min(count, width - self._x))
        start = self._y * width + self._x
        self._places[start : start + seen] = pixels[:seen]
        self._x += count

"""The header of a GIF and its frames (GIF89a, sections 17 to 27), found with bounded work."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from images.containers.common import MAX_PARTS, Unread

SIGNATURES = (b"GIF87a", b"GIF89a")
HEAD = 13
"""Bytes of signature and screen descriptor."""
EXTENSION, IMAGE = 0x21, 0x2C
CONTROL = 0xF9
"""The extension that states transparency and what becomes of a frame."""
TABLE, INTERLACED, TRANSPARENT = 0x80, 0x40, 0x01
"""Flags: a colour table follows; rows are interlaced; one colour is transparent."""
CLEARED, RESTORED = 2, 3
"""What becomes of a frame before the next: its place is cleared, or gets back what it had."""
MAX_BLOCKS = 1 << 18
"""Blocks of at most 255 bytes that are walked over: 67 MB of them if they are full."""


@dataclass(frozen=True)
class GifFrame:
    """One frame, and where its parts lie."""

    left: int
    top: int
    width: int
    height: int
    interlaced: bool
    palette: slice
    """Of the file: three bytes a colour."""
    transparent: int | None
    """The place in the palette that counts as transparent."""
    disposal: int
    data: slice
    """Of the file: the compressed pixels, with the code size before and the last block."""

    def covers(self, width: int, height: int) -> bool:
        """Return whether no pixel of a screen of this size is outside the frame."""
        right, bottom = self.left + self.width, self.top + self.height
        return self.left == self.top == 0 and right >= width and bottom >= height


@dataclass(frozen=True)
class GifHeader:
    """What is stated of the screen, with its frames; sizes are in pixels."""

    width: int
    height: int
    frames: tuple[GifFrame, ...]

    def is_transparent(self, frame: int) -> bool:
        """Return whether the screen may show through while a frame, counted from 0, is shown."""
        opaque = False
        for one in self.frames[: frame + 1]:
            before = opaque
            shown = opaque or (one.transparent is None and one.covers(self.width, self.height))
            after = {CLEARED: False, RESTORED: before}
            opaque = after.get(one.disposal, shown)
        return not shown


def read_gif(data: bytes) -> GifHeader:
    """Read the header of a GIF. Raises Unread for a file without a frame, and for one of more than
    MAX_PARTS frames and extensions, or MAX_BLOCKS blocks."""
    if not data.startswith(SIGNATURES) or len(data) < HEAD:
        raise Unread
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    frames = tuple(_Walk(data, _table(HEAD, flags)).frames())
    if not frames:
        raise Unread
    first = frames[0]  # as browsers do, which show the whole of it
    width, height = max(width, first.left + first.width), max(height, first.top + first.height)
    return GifHeader(width, height, frames)


def _table(at: int, flags: int) -> slice:
    """Return where a colour table lies that flags state; an empty one if there is none."""
    return slice(at, at + (3 << (flags & 7) + 1 if flags & TABLE else 0))


class _Walk:
    """A walk from block to block of a file."""

    def __init__(self, data: bytes, palette: slice) -> None:
        self._data = data
        self._palette = palette
        self._at = palette.stop
        self._blocks = 0

    def frames(self) -> Iterator[GifFrame]:
        """Yield the frames up to the end of the file, or to what is no block."""
        transparent, disposal = None, 0
        for _ in range(MAX_PARTS):
            kind = self._data[self._at : self._at + 1]
            if kind == bytes((IMAGE,)):
                yield self._frame(transparent, disposal)
                transparent, disposal = None, 0
            elif kind == bytes((EXTENSION,)):
                control = self._data[self._at + 1 : self._at + 8]
                if len(control) == 7 and control[:2] == bytes((CONTROL, 4)):
                    transparent = control[5] if control[2] & TRANSPARENT else None
                    disposal = control[2] >> 2 & 7
                self._at += 2
                self._skip_blocks()
            else:
                return
        raise Unread

    def _frame(self, transparent: int | None, disposal: int) -> GifFrame:
        if self._at + 11 > len(self._data):
            raise Unread
        left, top, width, height, flags = struct.unpack_from("<HHHHB", self._data, self._at + 1)
        palette = _table(self._at + 10, flags)
        self._at = start = palette.stop
        self._at += 1  # the size of codes
        self._skip_blocks()
        palette = palette if flags & TABLE else self._palette
        if not (width and height) or palette.start == palette.stop:
            raise Unread
        if palette.stop > len(self._data):
            raise Unread
        data, interlaced = slice(start, self._at), bool(flags & INTERLACED)
        return GifFrame(left, top, width, height, interlaced, palette, transparent, disposal, data)

    def _skip_blocks(self) -> None:
        """Go to the end of a sequence of blocks, or of the file."""
        data, at = self._data, self._at
        while at < len(data) and data[at]:
            self._blocks += 1
            if self._blocks > MAX_BLOCKS:
                raise Unread
            at += 1 + data[at]
        self._at = at + 1

"""The bytes of a picture as they arrive, and the refusal of a file that is far too large for it."""

from __future__ import annotations

import io

from images.file_size import SPARE_BYTES, check_file_bytes, front_pixels

FIRST_LOOK, LAST_LOOK = 1 << 10, 1 << 22
"""Bytes that must have arrived when the file's size in pixels is looked for, first and last."""
BETWEEN_LOOKS = 8
"""Factor between looks: a profile or a preview may stand before the size."""


class PictureBuffer:
    """One buffer, which grows with what has arrived: a declared length alone takes no memory."""

    def __init__(self, expected: int) -> None:
        """`expected` is the size of the file in bytes as it was declared, 0 if it was not."""
        self._buffer = io.BytesIO()
        self._expected = expected
        self._next_look = FIRST_LOOK
        self._pixels: int | None = None

    def write(self, piece: bytes | memoryview) -> None:
        """Add a piece. Raises BodyTooLarge as soon as the file is known to have too few pixels for
        its bytes; what a beginning does not tell, `images.file_size.check_whole_file` finds."""
        self._buffer.write(piece)
        arrived = self._buffer.tell()
        size = max(arrived, self._expected)
        if size <= SPARE_BYTES:
            return
        if self._pixels is None and arrived >= self._next_look <= LAST_LOOK:
            self._look(arrived)
        if self._pixels is not None:
            check_file_bytes(size, self._pixels)

    def picture(self) -> bytes:
        """Return all bytes, without a copy."""
        return self._buffer.getvalue()

    def _look(self, arrived: int) -> None:
        with self._buffer.getbuffer() as view:
            self._pixels = front_pixels(bytes(view[:LAST_LOOK]))
        while self._next_look <= arrived:
            self._next_look *= BETWEEN_LOOKS

"""The frame header of a JPEG (ITU-T T.81, B.2.2), and the coding processes that are read."""

from __future__ import annotations

from dataclasses import dataclass

from images.containers.common import Unread
from images.containers.jpeg import segments

PROGRESSIVE = 0xC2
LOSSLESS = 0xC3
NO_FRAMES = frozenset({0xC4, 0xC8, 0xCC})
"""Markers among those of frames that are none: tables, and one that is reserved."""
_UNREAD = {
    **dict.fromkeys((0xC5, 0xC6, 0xC7), "a hierarchical"),
    **dict.fromkeys((0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF), "an arithmetically coded"),
}
"""Processes (T.81, table B.1) that browsers do not show. Decoders of arithmetic coding do not tell
where pixels are missing."""


@dataclass(frozen=True)
class Frame:
    """What a frame header states."""

    marker: int
    """Of the coding process."""
    bits: int
    """Per sample."""
    width: int
    height: int
    components: tuple[int, ...]
    """Their identifiers; the first one is luma, grey, red or cyan."""

    @property
    def unread(self) -> str | None:
        """The reason why this project does not read such a picture, None if it does."""
        if self.marker in _UNREAD:
            return f"{_UNREAD[self.marker]} JPEG"
        if self.bits != 8:
            return f"a JPEG of {self.bits} bits a sample ({self.bits}-bit JPEG)"
        if len(self.components) not in (1, 3, 4):
            return f"a JPEG of {len(self.components)} components"
        if not self.height:
            return "a JPEG that states its height behind its pixels"
        return None


def read_frame(data: bytes) -> Frame:
    """Read the first frame header. Raises Unread where there is none, or a damaged one."""
    for marker, start, end in segments(data):
        if 0xC0 <= marker <= 0xCF and marker not in NO_FRAMES:
            return _frame(marker, data[start : min(end, start + 6 + 3 * 255)])
    raise Unread


def _frame(marker: int, content: bytes) -> Frame:
    if len(content) < 6 or len(content) < 6 + 3 * content[5]:
        raise Unread
    height, width = int.from_bytes(content[1:3]), int.from_bytes(content[3:5])
    components = tuple(content[6 + 3 * n] for n in range(content[5]))
    if not width or not components:
        raise Unread
    return Frame(marker, content[0], width, height, components)

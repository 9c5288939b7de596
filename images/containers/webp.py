"""The header of a WebP: RFC 9649 for container and lossless stream, RFC 6386 for VP8."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from images.containers.common import Unread
from images.containers.riff import chunks, riff_end

LOSSY, LOSSLESS = b"VP8 ", b"VP8L"
EXTENDED_BYTES = 10
"""Bytes of the header of the extended format (RFC 9649, 2.7)."""
ANIMATION, ALPHA = 0x02, 0x10
"""Its flags."""
START_CODE = b"\x9d\x01\x2a"
LOSSLESS_SIGNATURE = 0x2F

Chunks = Iterator[tuple[bytes, int, int]]


@dataclass(frozen=True)
class WebpHeader:
    """What the header states. Sizes are in pixels before any orientation is applied."""

    width: int
    height: int
    alpha: bool
    animated: bool = False
    """The file is an animation, perhaps of one frame."""
    frames: int = 1


def read_webp(data: bytes) -> WebpHeader:
    """Read the header of a WebP. Raises Unread, also for a file that is cut."""
    if riff_end(data) > len(data):
        raise Unread
    parts = _whole_chunks(data)
    kind, start, end = next(parts, (b"", 0, 0))
    if kind == b"VP8X":
        return _extended(data, start, end, parts)
    return _picture(data, kind, start, end)


def stated_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height by the first chunk of a WebP, which need not be whole; None for an
    animation. Raises Unread."""
    kind, start, end = next(chunks(data), (b"", 0, 0))
    if kind != b"VP8X":
        picture = _picture(data, kind, start, end)
        return picture.width, picture.height
    if end - start != EXTENDED_BYTES or end > len(data):
        raise Unread
    canvas = _canvas(data, start, end)
    return None if canvas.animated else (canvas.width, canvas.height)


def _whole_chunks(data: bytes) -> Chunks:
    """Yield chunks as `chunks`. Raises Unread for one that does not lie within the file."""
    for kind, start, end in chunks(data):
        if end + (end - start) % 2 > riff_end(data):
            raise Unread
        yield kind, start, end


def _extended(data: bytes, start: int, end: int, others: Chunks) -> WebpHeader:
    """Read the header of the extended format (RFC 9649, 2.7) and the chunks behind it."""
    if end - start != EXTENDED_BYTES:
        raise Unread
    canvas = _canvas(data, start, end)
    if canvas.animated:
        return replace(canvas, frames=_frames(others))
    picture = _only_picture(data, others, canvas.alpha)
    if (picture.width, picture.height) != (canvas.width, canvas.height):
        raise Unread
    return picture


def _canvas(data: bytes, start: int, end: int) -> WebpHeader:
    """Read the chunk of the extended format, whose frames are not counted yet."""
    flags = data[start]
    width = 1 + int.from_bytes(data[start + 4 : start + 7], "little")
    height = 1 + int.from_bytes(data[start + 7 : end], "little")
    return WebpHeader(width, height, bool(flags & ALPHA), bool(flags & ANIMATION))


def _frames(others: Chunks) -> int:
    """Return the number of frames. Raises Unread where there is none."""
    frames = sum(kind == b"ANMF" for kind, _, _ in others)
    if not frames:
        raise Unread
    return frames


def _only_picture(data: bytes, others: Chunks, alpha: bool) -> WebpHeader:
    """Read the first picture. Transparency of a lossy one is a chunk of its own, before it."""
    for kind, start, end in others:
        alpha = alpha or kind == b"ALPH"
        if kind in (LOSSY, LOSSLESS):
            picture = _picture(data, kind, start, end)
            return replace(picture, alpha=alpha) if kind == LOSSY else picture
    raise Unread


def _picture(data: bytes, kind: bytes, start: int, end: int) -> WebpHeader:
    if kind == LOSSY:
        return _lossy(data[start : min(end, start + 10)], end - start)
    if kind == LOSSLESS:
        return _lossless(data[start : min(end, start + 5)])
    raise Unread


def _lossy(head: bytes, size: int) -> WebpHeader:
    """Read the header of a shown VP8 key frame of a chunk of `size` bytes (RFC 6386, 9.1)."""
    if len(head) < 10 or head[3:6] != START_CODE:
        raise Unread
    tag = int.from_bytes(head[:3], "little")
    inter_frame, profile, shown, first_partition = tag & 1, tag >> 1 & 7, tag >> 4 & 1, tag >> 5
    width = int.from_bytes(head[6:8], "little") & 0x3FFF
    height = int.from_bytes(head[8:10], "little") & 0x3FFF
    damaged = inter_frame or profile > 3 or not shown or first_partition >= size
    if damaged or not width or not height:
        raise Unread
    return WebpHeader(width, height, alpha=False)


def _lossless(head: bytes) -> WebpHeader:
    """Read the header of a lossless stream (RFC 9649, 3.4)."""
    if len(head) < 5 or head[0] != LOSSLESS_SIGNATURE:
        raise Unread
    bits = int.from_bytes(head[1:5], "little")
    if bits >> 29:  # version
        raise Unread
    return WebpHeader((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bool(bits >> 28 & 1))

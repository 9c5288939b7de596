"""Image resources of Photoshop (Adobe Photoshop File Formats, "Image resource blocks"): JPEG has
them in its segments APP13."""

from __future__ import annotations

from collections.abc import Iterator

from images.containers.common import MAX_PARTS

SIGNATURE = b"8BIM"
IPTC = 0x0404
"""The resource of IPTC-IIM."""


def resources(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield number and content of each resource, up to the first damaged one or MAX_PARTS."""
    at = 0
    for _ in range(MAX_PARTS):
        if data[at : at + 4] != SIGNATURE or at + 12 > len(data):
            return
        name = 1 + data[at + 6]
        start = at + 6 + name + name % 2 + 4
        size = int.from_bytes(data[start - 4 : start])
        if start + size > len(data):
            return
        yield int.from_bytes(data[at + 4 : at + 6]), data[start : start + size]
        at = start + size + size % 2


def resource(number: int, content: bytes) -> bytes:
    """Return a resource without a name."""
    head = SIGNATURE + number.to_bytes(2) + bytes(2) + len(content).to_bytes(4)
    return head + content + bytes(len(content) % 2)

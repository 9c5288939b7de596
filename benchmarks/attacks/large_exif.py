"""Pictures with megabytes of EXIF."""

from __future__ import annotations

import itertools
import struct

from benchmarks.attacks.attack import Attack, keep_busy
from benchmarks.attacks.wire import Attacker
from benchmarks.pictures import draw_jpeg
from benchmarks.specimens import specimens
from images.exif import PREFIX

SIZE = 8_000_000
PATH = "/upscale?scale=1&strength=0"
"""The picture is left as it is, so that no network hides what the attack costs."""
CALLERS = 8
X_RESOLUTION, RATIONAL = 0x011A, 5


class LargeExif(Attack):
    """Attacks parsers of metadata: a record of millions of fractions, of which each becomes an
    object; whole in a WebP, and in 64 KiB parts in a JPEG, where joining them is quadratic if done
    without care."""

    name = "large-exif"

    async def prepare(self, attacker: Attacker) -> None:
        record = record_of_fractions(SIZE)
        pictures = [jpeg_with(record)]
        if "webp RGB" in specimens():
            pictures.append(webp_with(record))
        self._pictures = itertools.cycle(pictures)

    async def run(self, attacker: Attacker) -> None:
        async def once() -> None:
            await attacker.post(PATH, next(self._pictures))

        await keep_busy(attacker, CALLERS, once)


def record_of_fractions(size: int) -> bytes:
    """Return a TIFF record of some `size` bytes with one tag of fractions."""
    count = size // 8
    entry = struct.pack("<HHII", X_RESOLUTION, RATIONAL, count, 26)
    head = b"II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)
    return head + struct.pack("<2I", 1, 3) * count


def jpeg_with(record: bytes) -> bytes:
    """Return a JPEG whose record lies in many segments, each with its prefix."""
    room = 0xFFFF - 2 - len(PREFIX)
    parts = (record[at : at + room] for at in range(0, len(record), room))
    segments = (
        b"\xff\xe1" + struct.pack(">H", 2 + len(PREFIX) + len(part)) + PREFIX + part
        for part in parts
    )
    picture = draw_jpeg(64, 64)
    return picture[:2] + b"".join(segments) + picture[2:]


def webp_with(record: bytes) -> bytes:
    """Return a WebP with a record in its chunk; the extended header says so (RFC 9649, 2.7)."""
    simple = specimens()["webp exif and profile"]
    at = simple.index(b"EXIF")
    chunk = b"EXIF" + struct.pack("<I", len(record)) + record + b"\0" * (len(record) % 2)
    inner = simple[8:at] + chunk
    return b"RIFF" + struct.pack("<I", len(inner)) + inner

"""Many large bodies at once, of small pictures."""

from __future__ import annotations

from benchmarks.attacks.attack import Attack, keep_busy
from benchmarks.attacks.wire import Attacker
from benchmarks.pictures import draw_jpeg
from images.file_size import SPARE_BYTES

SIZE = 30_000_000
LARGEST = SPARE_BYTES
"""Bytes of a file that is accepted whatever picture is in it."""
PATH = "/upscale?scale=1&strength=0"
"""The picture is left as it is, so that no network hides what the attack costs."""
CALLERS = 64


class ManyUploads(Attack):
    """Attacks memory of gateway and queue: each body is nearly as large as any may be, and its
    header states a small picture."""

    name = "many-uploads"

    async def prepare(self, attacker: Attacker) -> None:
        self._body = draw_jpeg(64, 64).ljust(self.size(), b"\0")

    async def run(self, attacker: Attacker) -> None:
        async def once() -> None:
            await attacker.post(PATH, self._body)

        await keep_busy(attacker, CALLERS, once)

    def size(self) -> int:
        """Return the bytes of a body."""
        return SIZE


class AcceptedUploads(ManyUploads):
    """Attacks the same by bodies that are as large as a small picture may be."""

    name = "accepted-uploads"

    def size(self) -> int:
        return LARGEST

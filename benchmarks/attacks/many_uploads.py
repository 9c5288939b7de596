"""Many bodies of 30 MB at once."""

from __future__ import annotations

from benchmarks.attacks.attack import Attack, keep_busy
from benchmarks.attacks.wire import Attacker
from benchmarks.pictures import draw_jpeg

SIZE = 30_000_000
PATH = "/upscale?scale=1&strength=0"
"""The picture is left as it is, so that no network hides what the attack costs."""
CALLERS = 64


class ManyUploads(Attack):
    """Attacks memory of gateway and queue: each body is nearly as large as is accepted, and begins
    with a small picture, so that it is not refused by its header."""

    name = "many-uploads"

    async def prepare(self, attacker: Attacker) -> None:
        self._body = draw_jpeg(64, 64).ljust(SIZE, b"\0")

    async def run(self, attacker: Attacker) -> None:
        async def once() -> None:
            await attacker.post(PATH, self._body)

        await keep_busy(attacker, CALLERS, once)

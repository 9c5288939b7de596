"""Progressive JPEGs with many scans that add nothing."""

from __future__ import annotations

import itertools

from benchmarks.attacks.attack import Attack, keep_busy
from benchmarks.attacks.wire import Attacker
from benchmarks.pictures import draw_endless_jpeg

SIDE = 5000
"""In pixels: the most that is accepted by default. A scan then has 42 bytes."""
SCANS = 2000, 12
"""Of the last kind: far more than are accepted, and about as many as are."""
CALLERS = 4


class EmptyScans(Attack):
    """Attacks the decoder's time: each scan of some 40 bytes makes it walk over all blocks of the
    picture again, so the work grows with scans times pixels, and the file hardly does."""

    name = "empty-scans"

    async def prepare(self, attacker: Attacker) -> None:
        self._pictures = itertools.cycle([draw_endless_jpeg(scans, SIDE) for scans in SCANS])

    async def run(self, attacker: Attacker) -> None:
        async def once() -> None:
            await attacker.post("/upscale?scale=1", next(self._pictures))

        await keep_busy(attacker, CALLERS, once)

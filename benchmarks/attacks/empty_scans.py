"""Progressive JPEGs with thousands of scans that add nothing."""

from __future__ import annotations

import io

from PIL import Image

from benchmarks.attacks.attack import Attack, keep_busy
from benchmarks.attacks.wire import Attacker

SIDE = 5000
"""In pixels: the most that is accepted by default. A scan then has 42 bytes."""
SCANS = 2000
CALLERS = 4
START_OF_SCAN = b"\xff\xda"
END_OF_IMAGE = b"\xff\xd9"


class EmptyScans(Attack):
    """Attacks the decoder's time: each scan of some 40 bytes makes it walk over all blocks of the
    picture again, so the work grows with scans times pixels, and the file hardly does."""

    name = "empty-scans"

    async def prepare(self, attacker: Attacker) -> None:
        self._picture = picture_of_scans(SIDE, SCANS)

    async def run(self, attacker: Attacker) -> None:
        async def once() -> None:
            await attacker.post("/upscale?scale=1", self._picture)

        await keep_busy(attacker, CALLERS, once)


def picture_of_scans(side: int, scans: int) -> bytes:
    """Return a flat grey JPEG of side x side pixels whose last scan is repeated so many times."""
    buffer = io.BytesIO()
    Image.new("L", (side, side), 100).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue().removesuffix(END_OF_IMAGE)
    last = data[data.rindex(START_OF_SCAN) :]
    return data + last * scans + END_OF_IMAGE

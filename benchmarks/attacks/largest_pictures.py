"""The largest pictures that are accepted, of the layouts that cost most."""

from __future__ import annotations

import io
import itertools
import json

import numpy as np
from PIL import Image

from benchmarks.attacks.attack import Attack, keep_busy
from benchmarks.attacks.wire import Attacker
from images.encode import encode
from images.picture import Picture, Raster
from jobs.formats import ImageFormat

SIDE = 5000
NOISY_ROWS = 100
CALLERS = 4
ROOM = 1.5
"""Factor on the smallest budget, at which pictures are only resampled, and still accepted."""
PATH = "/upscale?scale=2&format=png&latency_budget_ms="


class LargestPictures(Attack):
    """Attacks worker time and memory: 25 megapixels in a few hundred kilobytes, resampled to 100.
    The palette's noise is at the end, where an output that hopes for 256 colours has done nearly
    all of its work in vain; the other picture has 16 bits and transparency."""

    name = "largest-pictures"

    async def prepare(self, attacker: Attacker) -> None:
        drawn = (palette_with_late_noise(SIDE), deep_with_alpha(SIDE))
        self._requests = itertools.cycle(
            [(PATH + str(await smallest_budget_ms(attacker, one)), one) for one in drawn]
        )

    async def run(self, attacker: Attacker) -> None:
        async def once() -> None:
            await attacker.post(*next(self._requests))

        await keep_busy(attacker, CALLERS, once)


async def smallest_budget_ms(attacker: Attacker, picture: bytes) -> int:
    """Return a budget in ms with room for little more than resampling, from the refusal of one that
    is too small."""
    _, body = await attacker.post(PATH + "1", picture)
    return round(ROOM * float(json.loads(body)["smallest_feasible_ms"]))


def palette_with_late_noise(side: int) -> bytes:
    """Return a PNG of side x side pixels with a palette: flat, and noise in its last rows."""
    rng = np.random.default_rng(0)
    indices = np.zeros((side, side), np.uint8)
    indices[-NOISY_ROWS:] = rng.integers(0, 256, (NOISY_ROWS, side))
    image = Image.fromarray(indices).convert("P")
    image.putpalette(rng.integers(0, 256, 768, np.uint8).tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def deep_with_alpha(side: int) -> bytes:
    """Return a PNG of side x side pixels of RGB and alpha in 16 bits, with noise in its last
    rows."""
    samples = np.full((side, side, 4), 0x8000, np.uint16)
    rng = np.random.default_rng(0)
    samples[-NOISY_ROWS:] = rng.integers(0, 1 << 16, (NOISY_ROWS, side, 4), np.uint16)
    return encode(Picture(Raster(samples)), ImageFormat.PNG)

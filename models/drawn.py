"""Drawn pictures, for content that photographs seldom have and users send all the same.

Hard edges between full colours, thin lines, letters, dithering and noise drive a network's
activations several times as far as photographs do.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]

SHAPES = 12
TEXT = "The quick brown fox 0123456789"


def drawings(count: int, side: int, seed: int = 0) -> Iterator[Pixels]:
    """Yield pictures, uint8 [side, side, 3]: drawings with smooth and with hard edges in turn,
    then noise, a chequered pattern, and stripes one pixel wide."""
    random = np.random.default_rng(seed)
    for number in range(count):
        yield _drawing(random, side, smooth=number % 2 == 0)
    yield random.integers(0, 256, (side, side, 3), np.uint8)
    rows, columns = np.mgrid[:side, :side]
    for pattern in ((rows + columns) % 2, rows % 2, columns % 2):
        yield np.repeat((pattern * 255).astype(np.uint8)[..., None], 3, 2)


def _drawing(random: np.random.Generator, side: int, smooth: bool) -> Pixels:
    """Return rectangles, ellipses, lines and letters; if `smooth`, made smaller by two."""
    factor = 2 if smooth else 1
    size = side * factor
    image = Image.new("RGB", (size, size), _colour(random))
    draw = ImageDraw.Draw(image)
    for _ in range(SHAPES):
        left, right = np.sort(random.integers(0, size, 2)).tolist()
        top, bottom = np.sort(random.integers(0, size, 2)).tolist()
        box, colour = (left, top, right + 1, bottom + 1), _colour(random)
        match random.integers(4):
            case 0:
                draw.rectangle(box, fill=colour)
            case 1:
                draw.ellipse(box, fill=colour, outline=_colour(random))
            case 2:
                draw.line(box, fill=colour, width=int(random.integers(1, 5)))
            case _:
                font = ImageFont.load_default(int(random.integers(8, 24)) * factor)
                draw.text((left, top), TEXT, fill=colour, font=font)
    return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC))


def _colour(random: np.random.Generator) -> tuple[int, int, int]:
    """Return any colour, or a corner of the colour cube."""
    levels = random.choice([0, 255], 3) if random.random() < 0.5 else random.integers(0, 256, 3)
    red, green, blue = levels.tolist()
    return red, green, blue

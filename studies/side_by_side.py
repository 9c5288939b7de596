"""Pictures to compare by eye: bicubic, each width of a model, and the truth, side by side.

The study writes docs/pictures. The photographs are scikit-image's astronaut (NASA, public domain),
coffee (Rachel Michetti, CC0) and Chelsea (Stefan van der Walt, CC0). No network was trained or
measured on them. The captions have the PSNR-Y in dB.

Figures: docs/training.md.
Run: python -m studies.side_by_side anysr-s anysr-m
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from benchmarks.checkout import checkout
from images.picture import Picture, Raster
from models.catalog import SHIPPED, ModelEntry, read_catalog
from models.evaluate import bicubic, compare, degrade
from scheduling.tiling import tiling_of
from studies.arguments import parser_of
from workers.loaded_model import LoadedModel
from workers.runtimes.onnx import OnnxSession
from workers.upscale import upscale

Pixels = NDArray[np.uint8]

SHOWN = 168
"""Pixels a side of each crop; it is drawn at twice its size to make single pixels visible."""
CAPTION = 34
SCENES: dict[str, tuple[Callable[[], Pixels], float, int, int]] = {
    # name: (photograph, scale, top, left) with the crop's corner in the truth
    "astronaut-x3": (data.astronaut, 3.0, 50, 140),
    "coffee-x2.5": (data.coffee, 2.5, 130, 300),
    "cat-x4": (data.chelsea, 4.0, 60, 120),
}


def columns(entry: ModelEntry, truth: Pixels, scale: float) -> dict[str, Pixels]:
    """Return the pictures to show, by caption."""
    small, truth = degrade(truth, scale)
    size = (truth.shape[0], truth.shape[1])
    session = OnnxSession(SHIPPED, entry, threads=2)
    picture = Picture(Raster(small))
    pictures = {"bicubic": bicubic(small, size)}
    for width in (w.width for w in entry.widths):
        engine = LoadedModel(entry, session, tiling_of(entry)).at(width)
        larger = upscale(picture, *size, engine, lambda part: None)
        pictures[f"{entry.name} {width:g}"] = larger.picture.pixels.eight_bits()
    captions = {
        f"{name}\n{compare(pixels, truth, 4)[0]:.2f} dB": pixels
        for name, pixels in pictures.items()
    }
    return {**captions, "truth\n": truth}


def sheet(shown: dict[str, Pixels], top: int, left: int) -> Image.Image:
    """Return the crops in a row, each under its caption."""
    cell = 2 * SHOWN
    image = Image.new("RGB", (len(shown) * (cell + 4) - 4, cell + CAPTION), "white")
    draw = ImageDraw.Draw(image)
    for column, (caption, pixels) in enumerate(shown.items()):
        crop = Image.fromarray(pixels[top : top + SHOWN, left : left + SHOWN])
        image.paste(
            crop.resize((cell, cell), Image.Resampling.NEAREST), (column * (cell + 4), CAPTION)
        )
        font = ImageFont.load_default(14)
        draw.text((column * (cell + 4) + 2, 0), caption, fill="black", font=font, spacing=1)
    return image


def arguments_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = parser_of("studies.side_by_side", __doc__)
    parser.add_argument("models", nargs="*", help="names in the shipped catalog; default: all")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw every scene for every named model. Raises CheckoutMissing."""
    given = arguments_of(arguments)
    catalog = read_catalog()
    output = checkout("docs", "pictures")
    for name in given.models or catalog.names:
        for scene, (photograph, scale, top, left) in SCENES.items():
            shown = columns(catalog.get(name), photograph(), scale)
            path = output / f"{name}-{scene}.jpg"
            sheet(shown, top, left).save(path, quality=90, subsampling=0)
            print(f"{path.name}: {path.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()

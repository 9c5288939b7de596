"""Packs photographs into so many megabytes, for a machine that takes little.

Writes JPEGs with full chroma of the highest quality at which all fit: training photographs to
OUTPUT/train, and every n-th one, for validation, to OUTPUT/held. `--shrink 2` halves their sides
first, which also averages away the traces of an earlier compression. Prints the quality, so it
measures what the packing costs.

Figures: docs/training.md.
Run: python -m studies.gpu.pack --data FOLDER --output .gpu/pack --megabytes 40 --shrink 2
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from models.photographs import list_images
from studies.arguments import parser_of

QUALITIES = (97, 95, 93, 91, 89, 87, 85, 82, 79, 75)
SAMPLED = 8
"""One of so many photographs is encoded to estimate the size of all."""


def arguments_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = parser_of("studies.gpu.pack", __doc__)
    parser.add_argument("--data", type=Path, action="append", required=True, help="repeatable")
    parser.add_argument("--output", type=Path, required=True, help="a new or empty folder")
    parser.add_argument("--megabytes", type=float, default=40.0, help="of all files together")
    parser.add_argument("--shrink", type=int, default=1, help="divides both sides")
    parser.add_argument("--held", type=int, default=8, help="photographs for validation")
    return parser.parse_args(arguments)


def encoded(path: Path, shrink: int, quality: int) -> bytes:
    """Return a photograph as a JPEG, its sides divided by `shrink`."""
    with Image.open(path) as image:
        smaller = image.convert("RGB").reduce(shrink)
    buffer = io.BytesIO()
    smaller.save(buffer, "JPEG", quality=quality, subsampling="4:4:4", optimize=True)
    return buffer.getvalue()


def highest_quality(files: Sequence[Path], shrink: int, most_bytes: float) -> int:
    """Return the highest quality at which the files are expected to fit. Raises SystemExit."""
    sample = files[::SAMPLED]
    for quality in QUALITIES:
        size = sum(len(encoded(file, shrink, quality)) for file in sample)
        if size * len(files) / len(sample) <= most_bytes:
            return quality
    raise SystemExit(f"{len(files)} photographs do not fit; allow more megabytes, or --shrink.")


def main(arguments: Sequence[str] | None = None) -> None:
    """Pack the photographs, and print what was written."""
    options = arguments_of(arguments)
    files = list_images(options.data)
    if not files:
        raise SystemExit(f"there is no photograph in {', '.join(map(str, options.data))}")
    quality = highest_quality(files, options.shrink, 1e6 * options.megabytes)
    every = max(1, len(files) // max(1, options.held))
    written = 0
    for index, file in enumerate(files):
        part = "held" if index % every == 0 and index // every < options.held else "train"
        folder = options.output / part
        folder.mkdir(parents=True, exist_ok=True)
        data = encoded(file, options.shrink, quality)
        (folder / f"{index:04d}.jpg").write_bytes(data)
        written += len(data)
    print(f"{len(files)} photographs at quality {quality}: {written / 1e6:.1f} MB")


if __name__ == "__main__":
    main()

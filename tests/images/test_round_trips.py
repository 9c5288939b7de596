"""What every kind of picture keeps in every output format: the table in docs/pictures.md."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

from images.decode import decode
from images.encode import encode, writable_formats
from images.heic import reads_heic
from images.picture import Picture, PictureKind
from jobs.formats import WRITTEN, ImageFormat
from tests.support import marked_pictures as marked
from tests.support.marked_pictures import DPI, KINDS, Marked

LIMIT = 1_000_000
PAGE = Path(__file__).parents[2] / "docs" / "pictures.md"
START = "<!-- round trips: written by python -m tests.images.test_round_trips --write -->"
END = "<!-- /round trips -->"


class Made(NamedTuple):
    """A source and its output."""

    source: Picture
    output: Picture
    file: bytes


def mode_of(file: bytes) -> str:
    """Return Pillow's word for the layout of an output, "" for JPEG XL, which it does not read."""
    try:
        with Image.open(io.BytesIO(file)) as image:
            return image.mode
    except OSError:
        return ""


def has_resolution(made: Made) -> bool:
    density = made.output.metadata.density
    return density is not None and round(density.x * 0.0254) == round(density.y * 0.0254) == DPI


KEPT: dict[str, Callable[[Made], bool]] = {
    marked.GREY: lambda made: made.output.kind is PictureKind.GREY,
    marked.PALETTE: lambda made: mode_of(made.file) == "P",
    marked.CMYK: lambda made: mode_of(made.file) == "CMYK",
    marked.ALPHA: lambda made: made.output.pixels.has_alpha,
    marked.DEEP_10: lambda made: made.output.pixels.bit_depth > 8 and is_fine(made.output),
    marked.DEEP_16: lambda made: made.output.pixels.bit_depth > 8 and is_fine(made.output),
    marked.PROFILE: lambda made: made.output.icc == made.source.icc is not None,
    marked.EXIF: lambda made: marked.CAMERA.encode() in made.output.metadata.exif,
    marked.XMP: lambda made: marked.XMP_TITLE.encode() in made.output.metadata.xmp,
    marked.IPTC: lambda made: marked.IPTC_CITY.encode() in made.output.metadata.iptc,
    marked.RESOLUTION: has_resolution,
    marked.TEXTS: lambda made: any(t.text == marked.TEXT for t in made.output.metadata.texts),
}
"""How each thing is found in an output."""


def is_fine(picture: Picture) -> bool:
    """Return whether samples are more than 8 bits that were widened."""
    return bool((picture.pixels.samples % 257 != 0).any())


def lost(kind: Marked) -> Iterator[tuple[ImageFormat, list[str]]]:
    """Yield each output format with what it does not keep of a kind."""
    source = decode(kind.make(), LIMIT)
    for image_format in writable_formats():
        file = encode(source, image_format)
        made = Made(source, decode(file, LIMIT), file)
        yield image_format, [thing for thing in kind.holds if not KEPT[thing](made)]


def table() -> str:
    """Return the Markdown table of all kinds and formats."""
    formats = writable_formats()
    heads = ["input", "has", *(f.label for f in formats)]
    rows = [heads, ["---"] * len(heads)]
    for kind in KINDS:
        cells = [f"all but {', '.join(gone)}" if gone else "all" for _, gone in lost(kind)]
        rows.append([kind.name, ", ".join(kind.holds), *cells])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows).replace("| --- ", "|---")


def with_table(text: str) -> str:
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{table()}\n{END}{after}"


needs_all = pytest.mark.skipif(
    set(writable_formats()) != set(WRITTEN) or not reads_heic(),
    reason="this installation lacks a format",
)


@needs_all
def test_the_documented_table_is_what_is_measured() -> None:
    text = PAGE.read_text()
    assert with_table(text) == text, "run: python -m tests.images.test_round_trips --write"


if __name__ == "__main__" and "--write" in sys.argv:
    PAGE.write_text(with_table(PAGE.read_text()))

"""The format table: consistent in itself, and the source of the table in docs/api.md."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from jobs.formats import (
    FORMATS,
    SUFFIXES,
    FormatFacts,
    ImageFormat,
    format_of_media_type,
    labels,
    lossy_labels,
)

API = Path(__file__).parents[2] / "docs" / "api.md"
START, END = "<!-- formats: written by tests/jobs/test_formats.py --write -->", "<!-- /formats -->"


def formats_table() -> str:
    """Return the Markdown table of all formats."""
    heads = ("`format`", "name", "suffixes", "media type", "longest side", "`quality`", "keeps")
    rows = [heads, ("---",) * len(heads)]
    for image_format, facts in FORMATS.items():
        rows.append(
            (
                f"`{image_format}`",
                facts.label,
                ", ".join(f"`{suffix}`" for suffix in facts.suffixes),
                f"`{facts.media_type}`",
                f"{facts.max_side:,}",
                "lossless" if facts.default_quality is None else f"{facts.default_quality}",
                ", ".join(kept(facts)),
            )
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows).replace("| --- ", "|---")


def kept(facts: FormatFacts) -> list[str]:
    """Return what the format stores of a picture, in words."""
    keeps = {
        "grey": facts.keeps_grey,
        "transparency": facts.keeps_alpha,
        "16 bits": facts.keeps_16_bits,
        "10 bits": facts.keeps_10_bits,
        "ICC profile": facts.keeps_icc,
        "EXIF": facts.keeps_exif,
    }
    return [name for name, is_kept in keeps.items() if is_kept]


def with_table(text: str) -> str:
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{formats_table()}\n{END}{after}"


def test_every_format_has_a_row() -> None:
    assert set(FORMATS) == set(ImageFormat)


def test_no_suffix_and_no_media_type_is_shared() -> None:
    assert len(SUFFIXES) == sum(len(facts.suffixes) for facts in FORMATS.values())
    for image_format in ImageFormat:
        assert format_of_media_type(image_format.media_type) is image_format


def test_another_media_type_is_refused() -> None:
    with pytest.raises(ValueError, match="text/html"):
        format_of_media_type("text/html")


def test_formats_are_listed_in_prose() -> None:
    assert labels([ImageFormat.PNG]) == "PNG"
    assert labels([ImageFormat.PNG, ImageFormat.WEBP]) == "PNG or WebP"
    assert labels(list(ImageFormat)[:3]) == "PNG, JPEG or WebP"
    assert lossy_labels().startswith("JPEG, WebP")


def test_the_documented_table_is_that_of_the_code() -> None:
    text = API.read_text()
    assert with_table(text) == text, "run: python tests/jobs/test_formats.py --write"


if __name__ == "__main__" and "--write" in sys.argv:
    API.write_text(with_table(API.read_text()))

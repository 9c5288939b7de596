"""The format table: consistent in itself, and the source of the table in docs/api.md."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from jobs.formats import (
    FORMATS,
    SUFFIXES,
    WRITTEN,
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
                quality(facts),
                kept_or_written(facts),
            )
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows).replace("| --- ", "|---")


def quality(facts: FormatFacts) -> str:
    """Return the default quality of a format that is written."""
    if facts.written_as is not None:
        return ""
    return "lossless" if facts.default_quality is None else f"{facts.default_quality}"


def kept_or_written(facts: FormatFacts) -> str:
    """Return what a format keeps, or in which one its pictures are written."""
    if facts.written_as is None:
        return ", ".join(kept(facts))
    return f"read only; by default its pictures become `{facts.written_as}`"


def kept(facts: FormatFacts) -> list[str]:
    """Return what the format stores of a picture, in words."""
    keeps = {
        "grey": facts.keeps_grey,
        "transparency": facts.keeps_alpha,
        "16 bits": facts.keeps_16_bits,
        "10 bits": facts.keeps_10_bits,
        "ICC profile": facts.keeps_icc,
        "EXIF": facts.keeps_exif,
        "XMP": facts.keeps_xmp,
        "IPTC": facts.keeps_iptc,
        "texts": facts.keeps_texts,
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


def test_what_is_only_read_is_written_as_something_else() -> None:
    assert set(WRITTEN) == {f for f in ImageFormat if f.own_output is f}
    assert all(f.own_output in WRITTEN for f in ImageFormat)
    assert set(lossy_labels().replace(" and ", ", ").split(", ")) == {
        f.label for f in WRITTEN if f.lossy
    }


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

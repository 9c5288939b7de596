"""Metadata as bytes, from the decoder process to its worker, which trusts none of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from images.metadata.facts import NO_METADATA, Density, Metadata, Text


def packed(parts: Sequence[Metadata]) -> bytes:
    """Return several pictures' metadata as JSON; bytes are written as characters of Latin-1. Where
    there is none, return nothing."""
    if all(part == NO_METADATA for part in parts):
        return b""
    return json.dumps([_fields(part) for part in parts]).encode()


def unpacked(data: bytes, count: int) -> list[Metadata]:
    """Return what `packed` was given. Raises ValueError, KeyError or TypeError for anything but
    the metadata of `count` pictures."""
    if not data:
        return [NO_METADATA] * count
    parts = [_metadata(fields) for fields in json.loads(data)]
    if len(parts) != count:
        raise ValueError("not as many as expected")
    return parts


def _fields(part: Metadata) -> dict[str, Any]:
    density = part.density
    return {
        "exif": part.exif.decode("latin-1"),
        "xmp": part.xmp.decode("latin-1"),
        "iptc": part.iptc.decode("latin-1"),
        "density": None if density is None else [density.x, density.y, density.absolute],
        "texts": [[text.keyword, text.text] for text in part.texts],
    }


def _metadata(fields: dict[str, Any]) -> Metadata:
    exif, xmp, iptc = (str(fields[name]).encode("latin-1") for name in ("exif", "xmp", "iptc"))
    return Metadata(
        exif,
        xmp,
        iptc,
        None if fields["density"] is None else _density(*fields["density"]),
        tuple(_text(*pair) for pair in fields["texts"]),
    )


def _density(x: float, y: float, absolute: bool) -> Density:
    return Density(float(x), float(y), bool(absolute))


def _text(keyword: str, text: str) -> Text:
    return Text(str(keyword), str(text))

"""The metadata of a picture (`images.metadata`): read in bounds, and written to every format."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.png_checksums import with_checksums
from images import exif
from images.encode import encode, writable_formats
from images.metadata import iptc, png_text, xmp
from images.metadata.extraction import ExtractedMetadata, extract_metadata
from images.metadata.facts import Metadata
from images.opening import open_image
from images.picture import Picture, Raster
from tests.fuzz.target import Target, read_or_refused
from tests.fuzz.targets import header
from tests.support.marked_pictures import KINDS

SAMPLES = Raster(np.zeros((2, 2, 3), np.uint8))


def run(data: bytes) -> None:
    """Read metadata as a worker does, and write it again."""
    found = read_or_refused(lambda: _carried(data), header.REFUSALS)
    if found is not None:
        _check(found.everything)
        _check(found.rights)


def _carried(data: bytes) -> ExtractedMetadata:
    opened = open_image(data, header.MAX_PIXELS)
    return extract_metadata(data, opened.header, opened.exif)


def _check(found: Metadata) -> None:
    assert len(found.exif) <= len(exif.PREFIX) + exif.MAX_BYTES
    assert len(found.xmp) <= xmp.MAX_BYTES
    assert len(found.iptc) <= iptc.MAX_BYTES
    assert sum(len(text.text) for text in found.texts) <= png_text.MAX_BYTES
    for image_format in writable_formats():
        file = encode(Picture(SAMPLES, metadata=found), image_format)
        again = _carried(file).everything
        if found.xmp and len(found.xmp) < 1 << 15:
            assert again.xmp == xmp.cleaned(found.xmp)
        if image_format.facts.keeps_iptc and len(found.iptc) < 1 << 15:
            assert again.iptc == found.iptc
        assert again == replace(again, exif=exif.cleaned(again.exif.removeprefix(exif.PREFIX)))


def seeds() -> list[bytes]:
    """Return pictures of all kinds with all metadata."""
    return [data for kind in KINDS if len(data := kind.make()) <= TARGET.longest]


TARGET = Target(run, seeds, longest=8192, repaired=with_checksums)

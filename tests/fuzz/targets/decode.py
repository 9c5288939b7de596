"""A whole picture (`images.decode`): decoded to what its header states, or refused."""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.png_checksums import with_checksums
from images.decode import decode
from images.exif import MAX_BYTES, PREFIX, orientation
from images.opening import read_header
from images.picture import Picture
from tests.fuzz.target import Target, read_or_refused
from tests.fuzz.targets import header


def run(data: bytes) -> None:
    """Decode a picture, and the second frame or page of its file."""
    for frame in (None, 1):
        picture = read_or_refused(partial(decode, data, header.MAX_PIXELS, frame), header.REFUSALS)
        if picture is not None:
            _check(picture, data, frame)


def _check(picture: Picture, data: bytes, frame: int | None) -> None:
    stated = read_header(data, header.MAX_PIXELS, frame)
    header.check(stated)
    samples = picture.pixels.samples
    assert samples.shape[:2] == (stated.height, stated.width)
    assert samples.shape[2] in (1, 2, 3, 4)
    assert samples.dtype in (np.uint8, np.uint16)
    assert samples.flags.c_contiguous
    assert len(picture.metadata.exif) <= len(PREFIX) + MAX_BYTES
    assert orientation(picture.metadata.exif.removeprefix(PREFIX)) == 1


TARGET = Target(run, header.seeds, longest=8192, repaired=with_checksums)

"""Raw samples with a head of a TIFF are the picture that they were."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from images.decode import decode
from images.opening import read_header
from images.raw_tiff import CHANNELS, tiff_head
from jobs.formats import ImageFormat

SIDES = st.integers(1, 70)


@given(SIDES, SIDES, st.sampled_from(CHANNELS), st.integers(0, 1 << 32))
def test_the_samples_are_decoded_as_they_are(
    height: int, width: int, channels: int, seed: int
) -> None:
    shape = (height, width, channels)
    samples = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    file = tiff_head(*shape) + samples.tobytes()
    header = read_header(file, 10_000)
    assert (header.format, header.width, header.height) == (ImageFormat.TIFF, width, height)
    assert (header.transparent, header.jpeg_quality) == (channels == 4, None)
    picture = decode(file, 10_000)
    assert np.array_equal(picture.pixels.samples, samples)


@pytest.mark.parametrize(
    "shape", [(4, 4, 2), (4, 4, 5), (0, 4, 3), (4, 0, 3), (1 << 20, 1 << 20, 1)]
)
def test_what_no_tiff_holds(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="a TIFF of"):
        tiff_head(*shape)

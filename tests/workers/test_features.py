"""The features of a picture: of any size, depth and kind, and at a bounded cost."""

from __future__ import annotations

import gc
import io
import math
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage import data

from images.features import BAND_EDGES, MAX_WINDOWS, SIDE, _corners
from images.features import BANDS as MEASURED_BANDS
from images.picture import Picture, Raster
from models.expectation import BANDS, MOST_DB, expectation_of
from workers.features import features_of

PHOTOGRAPH = np.ascontiguousarray(data.astronaut()[20:148, 150:310])


def seen(samples: np.ndarray) -> np.ndarray:
    features = features_of(Picture(Raster(samples)))
    return np.array([*features.bands, features.blockiness, features.sparsity])


@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from((1, 2, 3, 4)), st.booleans())
def test_every_size_depth_and_kind_has_finite_features(
    height: int, width: int, channels: int, deep: bool
) -> None:
    kind = np.uint16 if deep else np.uint8
    random = np.random.default_rng(height * 100 + width)
    samples = random.integers(0, np.iinfo(kind).max, (height, width, channels), kind)
    assert np.isfinite(seen(samples)).all()


def test_features_do_not_depend_on_the_bit_depth() -> None:
    assert seen(PHOTOGRAPH.astype(np.uint16) * 257) == pytest.approx(seen(PHOTOGRAPH), abs=1e-3)


def test_features_of_grey_and_opaque_pictures_equal_those_of_rgb() -> None:
    grey = PHOTOGRAPH[:, :, :1]
    of_grey = seen(grey)
    assert seen(np.repeat(grey, 3, axis=2)) == pytest.approx(of_grey, abs=1e-3)
    opaque = np.full_like(grey, 255)
    assert seen(np.concatenate((grey, opaque), axis=2)) == pytest.approx(of_grey, abs=1e-3)


def test_colours_under_full_transparency_do_not_count() -> None:
    alpha = np.zeros_like(PHOTOGRAPH[:, :, :1])
    other = PHOTOGRAPH[::-1]
    hidden = [np.concatenate((picture, alpha), axis=2) for picture in (PHOTOGRAPH, other)]
    assert (seen(hidden[0]) == seen(hidden[1])).all()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_flat_colours_are_expected_without_error(level: int) -> None:
    flat = np.full((40, 56, 3), level, np.uint8)
    assert expectation_of(features_of(Picture(Raster(flat))), 2.0, 0.0).resampled_db == MOST_DB


@given(st.integers(SIDE, 6000), st.integers(SIDE, 6000))
def test_windows_lie_inside_cover_small_pictures_and_are_bounded(height: int, width: int) -> None:
    corners = _corners(height, width)
    assert 1 <= len(corners) <= MAX_WINDOWS
    assert (corners >= 0).all()
    assert (corners <= np.array((height - SIDE, width - SIDE))).all()
    if math.ceil(height / SIDE) * math.ceil(width / SIDE) <= MAX_WINDOWS:
        for axis, size in enumerate((height, width)):
            starts = np.unique(corners[:, axis])
            assert starts[0] == 0 or size < 2 * SIDE
            assert (np.diff(starts) <= SIDE).all()


def test_windows_cover_a_long_strip_from_end_to_end() -> None:
    corners = _corners(SIDE, 100_000)
    assert (corners[0, 1], corners[-1, 1]) == (0, 100_000 - SIDE)


def test_a_wave_is_in_the_band_of_its_frequency() -> None:
    for band, (low, high) in enumerate(pairwise(BAND_EDGES)):
        index = (low + high) // 2
        wave = np.cos(np.pi * (np.arange(SIDE) + 0.5) * index / SIDE)
        samples = np.rint(128 + 100 * np.tile(wave, (SIDE, 1)))[..., None].astype(np.uint8)
        assert int(np.argmax(seen(samples)[: len(BAND_EDGES) - 1])) == band


def test_jpeg_is_blocky_and_a_photograph_is_not() -> None:
    buffer = io.BytesIO()
    Image.fromarray(PHOTOGRAPH).save(buffer, "JPEG", quality=15)
    coded = np.array(Image.open(buffer))
    assert seen(coded)[-2] > 0.3 > abs(seen(PHOTOGRAPH)[-2]) + 0.1


def test_the_regression_has_a_weight_for_each_band() -> None:
    assert MEASURED_BANDS == BANDS


def test_what_is_kept_of_sizes_does_not_rise_with_the_sizes_that_were_seen() -> None:
    """A decoder lives as long as its worker; each size would keep up to 20 kB."""
    samples = np.zeros((SIDE * 9 + 60, SIDE * 9, 1), np.uint8)

    def kept(heights: range) -> int:
        for height in heights:
            features_of(Picture(Raster(samples[-height:])))
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        first = kept(range(SIDE * 9, SIDE * 9 + 20))
        assert kept(range(SIDE * 9 + 20, SIDE * 9 + 60)) - first < 100_000
    finally:
        tracemalloc.stop()

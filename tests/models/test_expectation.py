"""The expectation of a picture: bounded, ordered as the means, and close to the measured
quality."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage import data

from images.picture import Picture, Raster
from models.catalog import read_catalog, resampled_db
from models.evaluate import compare, degrade
from models.expectation import (
    BANDS,
    LEAST_DB,
    LEAST_GAIN,
    MOST_DB,
    MOST_GAIN,
    Expectation,
    Features,
    expectation_of,
    shipped,
    spread_terms,
    terms,
)
from tests.support.photographs import shared_data
from workers.features import features_of
from workers.upscale import upscale

LADDER = [model for model in read_catalog().models if model.in_ladder]

features = st.builds(
    Features,
    bands=st.lists(st.floats(-2.6, 5), min_size=BANDS, max_size=BANDS).map(tuple),
    blockiness=st.floats(-3, 3),
    sparsity=st.floats(-4, 0),
)
scales, strengths = st.floats(1, 8), st.floats(0, 1)


def test_there_is_a_weight_for_each_term() -> None:
    some = Features((0.0,) * BANDS, 0.0, 0.0)
    fitted = shipped()
    assert len(fitted.resampled) == len(fitted.gain) == len(terms(some, 2.0, 0.5))
    assert len(fitted.spread) == len(spread_terms(30.0, 2.0, 0.5))


@given(features, scales, strengths)
def test_it_is_bounded_and_never_worse_for_a_wider_network(
    seen: Features, scale: float, strength: float
) -> None:
    expected = expectation_of(seen, scale, strength)
    assert expected == expectation_of(seen, scale, strength)
    assert LEAST_DB <= expected.resampled_db <= MOST_DB
    assert LEAST_GAIN <= expected.gain <= MOST_GAIN
    assert expected.below_db > 0
    assert expected.above_db > 0
    for model in LADDER:
        means = [model.gain_db(entry.width, scale, strength) for entry in model.widths]
        each = [expected.db(model, entry.width) for entry in model.widths]
        known = sorted((m, db) for m, db in zip(means, each, strict=True) if m is not None and db)
        assert [db for _, db in known] == sorted(db for _, db in known)
        assert all(LEAST_DB <= db <= MOST_DB for _, db in known)


def test_the_mean_picture_gets_the_catalogs_mean() -> None:
    model = LADDER[0]
    mean = Expectation(2.0, 0.0, resampled_db(2.0), 1.0, 1.0, 2.0)
    assert mean.db(model, 1.0) == pytest.approx(model.expected_db(1.0, 2.0), abs=0.011)
    assert mean.range(31.0) == (30.0, 33.0)
    assert mean.range(None) is None
    assert mean.db(model.model_copy(update={"quality": ()}), 1.0) is None


@pytest.mark.parametrize("strength", [0.0, 0.3, 0.6, 1.0])
def test_the_mean_gain_is_that_over_pictures_as_damaged(strength: float) -> None:
    for model in LADDER:
        gain = model.gain_db(1.0, 2.0, strength)
        whole = model.expected_db(1.0, 2.0, strength)
        assert gain is not None
        assert whole is not None
        assert resampled_db(2.0, strength) + gain == pytest.approx(whole, abs=0.011)
        assert gain > 0


def test_what_was_measured_on_clean_pictures_alone_gains_the_same_on_others() -> None:
    model = LADDER[0]
    clean = model.model_copy(
        update={"quality": tuple(q for q in model.quality if q.dataset == "B100")}
    )
    assert clean.gain_db(1.0, 2.0, 0.8) == clean.gain_db(1.0, 2.0)


def error_of(truth: np.ndarray, scale: float) -> tuple[float, float]:
    """Return the differences of plain resampling from the expectation and from the mean."""
    small, cropped = degrade(truth, scale)
    height, width = cropped.shape[:2]
    made = upscale(Picture(Raster(small)), height, width, None, lambda part: None).picture
    reached, _ = compare(made.pixels.eight_bits(), cropped, math.ceil(scale))
    expected = expectation_of(features_of(Picture(Raster(small))), scale, 0.0)
    return reached - expected.resampled_db, reached - resampled_db(scale)


@pytest.mark.parametrize("scale", [2.0, 2.5, 4.0])
def test_it_is_nearer_than_the_mean_on_photographs_that_it_was_not_fitted_to(scale: float) -> None:
    pictures = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket(), data.cat()]
    errors = np.abs([error_of(picture[:384, :512], scale) for picture in pictures])
    ours, means = errors.mean(axis=0)
    assert ours < 0.6 * means


@pytest.mark.parametrize("scale", [2.0, 2.5, 3.0, 4.0])
def test_it_is_at_most_half_as_far_off_as_the_mean_on_b100(scale: float) -> None:
    files = sorted(shared_data("B100").iterdir())[::4]
    errors = []
    for file in files:
        with Image.open(file) as image:
            errors.append(error_of(np.array(image.convert("RGB")), scale))
    ours, means = np.abs(errors).mean(axis=0)
    assert ours <= 0.5 * means


def test_noise_is_expected_to_come_out_worse_than_sky() -> None:
    sky = Features((2.0, 1.0, 0.0, -1.0, -1.5, -2.0, -2.0, -2.0, -2.0), 0.0, -0.3)
    noise = replace(sky, bands=tuple(band + 2.5 for band in sky.bands))
    assert expectation_of(noise, 2.0, 0.0).resampled_db < expectation_of(sky, 2.0, 0.0).resampled_db

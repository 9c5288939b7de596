"""The evaluator: its formulas, and the published bicubic rows on the real benchmarks."""

import numpy as np
import pytest

from models.evaluate import bicubic, compare, degrade, evaluate, luma
from models.training.dataset import list_images
from tests.support.photographs import shared_data

PUBLISHED_BICUBIC = {
    "Set5": {2: 33.67, 3: 30.40, 4: 28.43},
    "Set14": {2: 30.32, 3: 27.63, 4: 26.09},
    "B100": {2: 29.56, 3: 27.21, 4: 25.96},
}


@pytest.mark.parametrize(("dataset", "rows"), PUBLISHED_BICUBIC.items())
def test_bicubic_gives_the_published_rows(dataset, rows):
    files = list_images([shared_data(dataset)])
    for scale, expected in rows.items():
        assert evaluate(bicubic, files, scale).psnr_y == pytest.approx(expected, abs=0.02)


def test_luma_is_bt601():
    pixels = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0]]], dtype=np.uint8)
    np.testing.assert_allclose(luma(pixels)[0], [16.0, 235.0, 81.48], atol=0.02)


def test_psnr_of_a_known_difference_inside_the_border_only():
    rng = np.random.default_rng(0)
    truth = rng.integers(10, 240, (40, 40, 3), dtype=np.uint8)
    output = truth.copy()
    output[:3] = 0  # the shaved border does not count
    output[3:-3, 3:-3] += 2
    psnr, ssim = compare(output, truth, 3)
    difference = 2 * (65.738 + 129.057 + 25.064) / 256
    assert psnr == pytest.approx(20 * np.log10(255 / difference), abs=1e-6)
    assert 0.99 < ssim < 1


def test_equal_pictures_are_perfect():
    truth = np.random.default_rng(0).integers(0, 256, (30, 30, 3), dtype=np.uint8)
    psnr, ssim = compare(truth, truth, 2)
    assert psnr == float("inf")
    assert ssim == pytest.approx(1.0)


def test_sizes_must_agree():
    with pytest.raises(ValueError, match="output is"):
        compare(np.zeros((4, 4, 3), np.uint8), np.zeros((5, 4, 3), np.uint8), 1)


@pytest.mark.parametrize("scale", [1.5, 2, 2.37, 3.7])
def test_the_input_times_the_scale_gives_the_cropped_truth(scale):
    truth = np.random.default_rng(0).integers(0, 256, (97, 120, 3), dtype=np.uint8)
    small, cropped = degrade(truth, scale)
    for axis in (0, 1):
        assert abs(small.shape[axis] * scale - cropped.shape[axis]) <= 0.5
        assert cropped.shape[axis] > truth.shape[axis] - scale - 1


def test_inputs_through_jpeg_are_worse_the_lower_the_quality():
    y, x = np.mgrid[0:64, 0:64]
    planes = [127 + 100 * np.sin(x / (5 + c)) * np.cos(y / 7) for c in range(3)]
    truth = np.stack(planes, -1).astype(np.uint8)
    clean, cropped = degrade(truth, 2)
    errors = []
    for quality in (95, 60, 20):
        small, same = degrade(truth, 2, quality)
        assert small.shape == clean.shape
        np.testing.assert_array_equal(same, cropped)
        errors.append(np.abs(small.astype(int) - clean).mean())
    assert 0 < errors[0] < errors[1] < errors[2]

"""Training pictures: what is drawn is real, repeatable, and degraded as Pillow would."""

import numpy as np
import pytest
import torch
from PIL import Image

from models.photographs import Photographs, Sampling, bicubic_downsample, list_images


@pytest.fixture
def folder(tmp_path):
    """Three drawn pictures of different sizes."""
    rng = np.random.default_rng(0)
    for name, size in (("a", (200, 260)), ("b", (180, 190)), ("small", (40, 50))):
        pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    return tmp_path


@pytest.mark.parametrize(
    ("size", "small"), [((80, 80), (40, 40)), ((95, 120), (40, 40)), ((160, 150), (40, 50))]
)
def test_downsampling_equals_pillows_bicubic_within_one_level(size, small):
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    expected = Image.fromarray(pixels).resize((small[1], small[0]), Image.Resampling.BICUBIC)
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    actual = bicubic_downsample(image, small)[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(actual - np.asarray(expected, dtype=np.float32)).max() <= 1.001


def test_a_batch_repeats_with_its_seed_and_is_a_real_crop(folder):
    photographs = Photographs(list_images([folder]))
    assert len(photographs.images) == 2  # the small one cannot give a patch
    sampling = Sampling(batch=4, patch=20)
    draws = [photographs.draw(sampling, torch.Generator().manual_seed(5)) for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*draws, strict=True))
    small, target = draws[0]
    assert small.shape == (4, 3, 20, 20)
    torch.testing.assert_close(bicubic_downsample(target, (20, 20)), small)
    other = photographs.draw(sampling, torch.Generator().manual_seed(6))
    assert not torch.equal(other[0], small)


def test_scales_cover_the_range_and_may_differ_by_axis(folder):
    photographs = Photographs(list_images([folder]))
    generator = torch.Generator().manual_seed(0)
    sampling = Sampling(batch=1, patch=20)
    sizes = [photographs.draw(sampling, generator)[1].shape[2:] for _ in range(200)]
    heights = [h / 20 for h, _ in sizes]
    assert min(heights) >= 1.1
    assert max(heights) <= 4.0
    assert min(heights) < 1.5
    assert max(heights) > 3.5
    apart = sum(h != w for h, w in sizes) / 200
    assert 0.03 < apart < 0.3


def test_missing_folders_and_empty_folders_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"):
        list_images([tmp_path / "nowhere"])
    with pytest.raises(FileNotFoundError, match="no image"):
        list_images([tmp_path])


def test_too_small_pictures_are_told(folder):
    with pytest.raises(ValueError, match="at least 1000"):
        Photographs(list_images([folder]), minimum=1000)

"""JPEG in torch equals Pillow's libjpeg, but for rounding."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from models.training.jpeg import jpeg


def picture(size, seed=0):
    """Gradients, edges and texture in colour, uint8 [height, width, 3]."""
    height, width = size
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 7, 3), dtype=np.uint8)
    smooth = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    hard = Image.fromarray(small).resize((width, height), Image.Resampling.NEAREST).rotate(20)
    texture = rng.normal(0, 8, (height, width, 1))
    mixed = 0.6 * np.asarray(smooth, float) + 0.4 * np.asarray(hard, float) + texture
    return mixed.clip(0, 255).round().astype(np.uint8)


def through_pillow(pixels, quality, halve_chroma):
    file = io.BytesIO()
    subsampling = "4:2:0" if halve_chroma else "4:4:4"
    Image.fromarray(pixels).save(file, "jpeg", quality=quality, subsampling=subsampling)
    return np.asarray(Image.open(file), dtype=np.float32)


def through_torch(pictures, qualities, halve_chroma):
    images = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    result = jpeg(images, torch.tensor(qualities), halve_chroma)
    return result.permute(0, 2, 3, 1).numpy() * 255


@pytest.mark.parametrize("halve_chroma", [True, False])
@pytest.mark.parametrize("size", [(64, 96), (45, 39)])
def test_it_equals_pillow_at_several_qualities_in_one_batch(size, halve_chroma):
    qualities = [10, 30, 50, 75, 95, 100]
    pictures = [picture(size, seed) for seed in range(len(qualities))]
    actual = through_torch(pictures, qualities, halve_chroma)
    for pixels, quality, own in zip(pictures, qualities, actual, strict=True):
        pillow = through_pillow(pixels, quality, halve_chroma)
        damage = np.abs(pillow - pixels).mean()
        error = np.abs(own - pillow).mean()
        assert error < 0.3, f"quality {quality}: {error:.3f} of 255"
        assert error < 0.5 * damage, f"quality {quality}: {error:.3f}, damage {damage:.3f}"


def test_the_result_is_in_whole_levels_and_lower_quality_damages_more():
    pixels = picture((48, 48))
    actual = through_torch([pixels] * 3, [30, 60, 95], halve_chroma=True)
    assert np.abs(actual - actual.round()).max() < 1e-3
    damage = np.abs(actual - pixels).mean((1, 2, 3))
    assert damage[0] > damage[1] > damage[2] > 0

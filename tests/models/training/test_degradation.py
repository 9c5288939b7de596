"""Degradation: bicubic as Pillow's, and light damage that is drawn per sample and repeats."""

import numpy as np
import pytest
import torch
from PIL import Image

from models.strength import quality_of_strength
from models.training.config import Sampling
from models.training.degradation import bicubic_downsample, degrade, draw_strength
from models.training.jpeg import jpeg

CLEAN = {"blur": 0.0, "noise": 0.0, "jpeg_probability": 0.0}
ALL = {"jpeg_alone_probability": 0.0}


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


@pytest.fixture
def target():
    return torch.rand(6, 3, 60, 90, generator=torch.Generator().manual_seed(3))


def damaged(target, seed=0, strength=1.0, **amounts):
    sampling = Sampling(**{**ALL, **amounts})
    return degrade(target, (30, 30), sampling, torch.Generator().manual_seed(seed), strength)


def test_bicubic_alone_is_bicubic_and_draws_nothing(target):
    generator = torch.Generator().manual_seed(5)
    small = degrade(target, (30, 30), Sampling(), generator)
    assert torch.equal(small, bicubic_downsample(target, (30, 30)))
    assert torch.equal(generator.get_state(), torch.Generator().manual_seed(5).get_state())


def test_no_damage_leaves_bicubic(target):
    expected = bicubic_downsample(target, (30, 30))
    assert (damaged(target, **CLEAN) - expected).abs().max() <= 1.001 / 255


@pytest.mark.parametrize("damage", [{"blur": 0.6}, {"noise": 4.0}])
def test_blur_and_noise_are_drawn_per_sample_and_left_out_of_some(target, damage):
    same = target[:1].expand(64, -1, -1, -1)
    clean = bicubic_downsample(same, (30, 30))
    small = damaged(same, **{**CLEAN, **damage, "jpeg_alone_probability": 0.5})
    untouched = sum(torch.equal(a, b) for a, b in zip(small, clean, strict=True))
    assert 16 < untouched < 48


@pytest.mark.parametrize("strength", [0.25, 0.55, 1.0])
def test_the_jpeg_is_that_of_the_strength(target, strength):
    clean = bicubic_downsample(target, (30, 30))
    small = damaged(target, strength=strength, **{**CLEAN, "jpeg_probability": 1.0})
    quality = torch.full((len(target),), float(quality_of_strength(strength)))
    codings = [jpeg(clean, quality, halve) for halve in (True, False)]
    assert any((small - coded).abs().max() < 1.5 / 255 for coded in codings)


def test_strengths_are_drawn_from_0_and_from_all_up_to_1():
    generator = torch.Generator().manual_seed(1)
    sampling = Sampling(damaged_probability=0.4)
    drawn = [draw_strength(sampling, generator) for _ in range(2000)]
    harmed = [strength for strength in drawn if strength]
    assert 0.35 < len(harmed) / len(drawn) < 0.45
    assert 0 < min(harmed) < 0.02
    assert 0.98 < max(harmed) <= 1
    assert not any(draw_strength(Sampling(), generator) for _ in range(100))


@pytest.mark.parametrize("damage", [{"blur": 0.6}, {"noise": 4.0}])
def test_each_damage_repeats_with_its_seed_and_differs_by_sample(target, damage):
    clean = bicubic_downsample(target, (30, 30))
    small = damaged(target[:1].expand_as(target), **{**CLEAN, **damage})
    assert torch.equal(small, damaged(target[:1].expand_as(target), **{**CLEAN, **damage}))
    assert not torch.equal(small, damaged(target[:1].expand_as(target), 1, **{**CLEAN, **damage}))
    errors = (small - clean[:1]).square().mean((1, 2, 3)).sqrt()
    assert len(set(errors.tolist())) == len(target)
    torch.testing.assert_close(small, (small * 255).round() / 255)
    assert small.min() >= 0
    assert small.max() <= 1


def test_noise_has_the_drawn_strength():
    grey = torch.full((64, 3, 60, 60), 0.5)
    noise = damaged(grey, **{**CLEAN, "noise": 8.0}) - 128 / 255
    levels = noise.std((1, 2, 3)) * 255
    assert levels.min() < 1
    assert 7 < levels.max() < 8.5
    assert 3 < levels.mean() < 5


def test_blur_is_measured_in_input_pixels():
    """A step edge, shrunk by 2 and by 4 with the same draw, is as soft in input pixels."""
    softness = []
    for scale in (2, 4):
        edge = torch.zeros(32, 3, 8 * scale, 64 * scale)
        edge[..., 32 * scale :] = 1
        sampling = Sampling(blur=2.0, noise=0.0, jpeg_probability=0.0, jpeg_alone_probability=0.0)
        small = degrade(edge, (8, 64), sampling, torch.Generator().manual_seed(1), 1.0)
        slope = small[:, 0, 4].diff()
        place = torch.arange(63) - 31.0
        softness.append((slope * place.square()).sum(-1).sqrt())
    torch.testing.assert_close(softness[0], softness[1], atol=0.1, rtol=0)
    assert softness[0].max() > 1.5

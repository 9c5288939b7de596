"""Losses, against their formulas written out plainly."""

import pytest
import torch
from skimage.filters import gaussian

from models.training.losses import LOSSES, high_frequency


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(2, 3, 40, 50, generator=generator) for _ in range(2)]


def test_high_frequency_is_the_difference_of_two_high_passes(pair):
    output, target = pair
    passed = [
        image - torch.from_numpy(gaussian(image.numpy(), (0, 0, 1.5, 1.5), truncate=8))
        for image in pair
    ]
    middle = (..., slice(12, -12), slice(12, -12))
    expected = (passed[0] - passed[1])[middle].abs().mean()
    # The edges weigh little here, and differ by what the filter takes to be outside.
    assert float(high_frequency(output, target)) == pytest.approx(float(expected), rel=0.05)


def test_high_frequency_is_blind_to_a_shift_of_brightness_and_sees_texture():
    zero = torch.zeros(1, 3, 24, 24)
    assert float(high_frequency(zero + 0.3, zero)) == pytest.approx(0, abs=1e-6)
    board = (torch.arange(24)[:, None] + torch.arange(24)) % 2 * 2.0 - 1
    assert float(high_frequency(zero + 0.3 * board, zero)) == pytest.approx(0.3, rel=0.02)


def test_the_joined_loss_has_the_weights_of_the_paper(pair):
    expected = 0.4 * LOSSES["l1"](*pair) + 0.6 * high_frequency(*pair)
    assert float(LOSSES["l1+high_frequency"](*pair)) == pytest.approx(float(expected))


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_least_at_the_truth_and_has_gradients(name, pair):
    output, target = pair
    output.requires_grad_()
    loss = LOSSES[name](output, target)
    loss.backward()
    assert loss > LOSSES[name](target, target)
    assert output.grad is not None
    assert output.grad.abs().max() > 0

"""The conditioned network: shapes, widths as views, exact locality, gradients, its start."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from models.architectures.conditioned import Conditioned, ConditionedBlock
from models.architectures.network import Grid, grid_for
from models.arithmetic import arithmetic_of
from models.geometry import axis_grid, output_size
from models.training.forward import upscale

ARGS: dict[str, Any] = {"channels": 16, "blocks": 2, "basis": 4, "widths": [4, 8, 16]}


@pytest.fixture
def network():
    """A small network whose every parameter is away from its special starting value."""
    torch.manual_seed(0)
    net = Conditioned(**ARGS)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return net.eval()


@pytest.mark.parametrize("scale", [1.0, 1.5, 2.0, 2.37, 3.999, 8.0])
@pytest.mark.parametrize("channels", [4, 8, 16])
def test_the_output_has_the_requested_size_at_any_real_scale(network, scale, channels):
    size = (output_size(13, scale), output_size(22, scale))
    assert upscale(network, torch.rand(2, 3, 13, 22), size, channels).shape == (2, 3, *size)


def test_height_and_width_may_scale_apart(network):
    assert upscale(network, torch.rand(1, 3, 9, 10), (30, 11), 8).shape == (1, 3, 30, 11)


def test_a_narrow_width_reads_only_a_prefix_of_the_shared_weights(network):
    image = torch.rand(1, 3, 8, 8)
    before = upscale(network, image, (20, 20), 8)
    with torch.no_grad():
        for block in network.blocks:
            for conv in block.convolutions[:-1]:
                conv.weight[8:] += 1.0
            for conv in block.convolutions[1:]:
                conv.weight[:, 8:] -= 1.0
    assert torch.equal(upscale(network, image, (20, 20), 8), before)
    assert not torch.equal(upscale(network, image, (20, 20), 16), before)


@pytest.mark.parametrize("channels", [4, 16])
def test_nothing_beyond_the_halo_reaches_a_pixel(network, channels):
    image = torch.rand(1, 3, 40, 12)
    changed = image.clone()
    changed[:, :, 20] = 1 - changed[:, :, 20]
    rows = [upscale(network, i, (80, 24), channels) for i in (image, changed)]
    touched = (rows[0] != rows[1]).any(dim=(0, 1, 3)).nonzero()
    reach = max(20 - int(touched.min()) // 2, int(touched.max()) // 2 - 20)
    assert 0 < reach <= network.halo


def test_pictures_of_a_batch_do_not_affect_each_other(network):
    batch = torch.rand(3, 3, 9, 9)
    together = upscale(network, batch, (20, 20), 8)
    apart = torch.cat([upscale(network, image[None], (20, 20), 8) for image in batch])
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=1e-5)


def test_gradients_are_right_in_double_precision():
    torch.manual_seed(0)
    net = Conditioned(channels=4, blocks=1, basis=3, widths=[2, 4])
    net = net.double()
    grid = grid_for(net, axis_grid(3, 7), axis_grid(4, 9), strength=0.5)
    doubles = Grid(*(t.double() if t.is_floating_point() else t for t in grid))
    image = torch.rand(1, 3, 3, 4, dtype=torch.float64, requires_grad=True)
    torch.nn.init.normal_(net.condition.fc2.weight)
    assert torch.autograd.gradcheck(lambda x: net(x, doubles, 2), (image,), atol=1e-6)


def test_the_condition_is_scale_width_and_strength(network):
    first = network.condition(torch.tensor([0.5, 0.5, 0.0]), 1.0)
    for scale_h, scale_w, strength, width in (
        (0.25, 0.5, 0, 1), (0.5, 0.25, 0, 1), (0.5, 0.5, 0.3, 1), (0.5, 0.5, 0, 0.5)
    ):  # fmt: skip
        other = network.condition(torch.tensor([scale_h, scale_w, strength]), width)
        assert not torch.equal(first, other)


def test_the_strength_changes_the_picture_once_the_condition_has_learnt(network):
    image = torch.rand(1, 3, 9, 9)
    outputs = [upscale(network, image, (20, 20), 8, strength=s) for s in (0.0, 0.5)]
    assert not torch.equal(*outputs)


def test_a_block_is_what_its_formula_says():
    """x + W4 r(W3 r(W2 r(W1 x + b1 + condition))) with prefixes of the inner channels."""
    torch.manual_seed(0)
    block = ConditionedBlock(6)
    x, bias, k = torch.rand(1, 6, 7, 8), torch.randn(1, 4, 1, 1), 4
    inner, last = x, len(block.convolutions) - 1
    for place, conv in enumerate(block.convolutions):
        assert isinstance(conv, torch.nn.Conv2d)
        assert conv.bias is not None
        out, into = (6 if place == last else k), (6 if place == 0 else k)
        own = conv.bias[:out] + (bias[0, :, 0, 0] if place == 0 else 0)
        inner = F.conv2d(inner, conv.weight[:out, :into].clone(), own, padding=1)
        inner = inner if place == last else inner.relu()
    torch.testing.assert_close(block(x, k, bias), x + inner)


def test_a_width_costs_the_mean_of_itself_and_its_square():
    entry, blocks = 9 * 3 * 16, 2 * 4 * 9 * 16 * 16  # multiply-accumulates of an input pixel
    cost = arithmetic_of(Conditioned(**ARGS).to("meta"))
    assert cost.trunk == [entry + round(part * blocks) for part in (0.15625, 0.375, 1)]


def test_a_block_of_one_convolution_is_refused():
    with pytest.raises(ValueError, match="at least 2 convolutions"):
        ConditionedBlock(4, 1)


@pytest.mark.parametrize("widths", [[16, 8], [8], [0, 16]])
def test_widths_must_rise_to_the_full_one(widths):
    with pytest.raises(ValueError, match="widths must rise"):
        Conditioned(channels=16, blocks=1, basis=3, widths=widths)

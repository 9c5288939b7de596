"""G-IDRN: the paper's parameter counts, its 110 points and shortcuts against their formulas."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models.architectures.gidrn import (
    GIDRN,
    DenseShortcuts,
    DistillationBlock,
    NonLocalBlock,
    pooled_points,
)
from models.architectures.registry import build_network
from models.spec import NetworkSpec
from tests.models import fixed_scale_rules as rules

TINY = {"channels": 8, "group_channels": 4, "groups": 2, "blocks": 1, "steps": 1, "reduction": 2}


@pytest.fixture
def network():
    return rules.built(NetworkSpec("gidrn", {"scale": 2, **TINY}))


@pytest.mark.parametrize(
    ("scale", "count", "of_the_paper"),
    [(2, 553_638, 554_000), (3, 564_513, 565_000), (4, 579_738, 580_000)],
)
def test_the_parameters_are_as_many_as_the_papers(scale, count, of_the_paper):
    assert rules.count("gidrn", {"scale": scale}) == count
    assert abs(count - of_the_paper) < 0.003 * of_the_paper


def test_without_groups_the_parameters_are_as_many_as_the_papers():
    """Table 6, at x2: 2047 K."""
    count = rules.count("gidrn", {"scale": 2, "group_channels": 72})
    assert count == 2_046_630
    assert round(count, -3) == 2_047_000


def test_the_cost_is_that_of_the_papers_table():
    """Table 5: 36.19 x 10^9 at x4 for an input of 256 x 256; we count no biases and activations."""
    counted = rules.multiply_accumulates("gidrn", {"scale": 4}, 256, 256)
    assert 0.99 * 36.19 < counted / 1e9 < 36.19


@pytest.mark.parametrize("size", [(24, 48), (13, 50), (8, 8), (5, 3), (1, 1)])
def test_the_points_are_the_110_of_adaptive_pooling(size):
    features = torch.randn(2, 3, *size)
    expected = [F.adaptive_avg_pool2d(features, side).flatten(2) for side in (1, 3, 6, 8)]
    points = pooled_points(features)
    assert points.shape[2] == 110
    torch.testing.assert_close(points, torch.cat(expected, 2))


@torch.no_grad()
def test_the_non_local_block_is_what_the_formula_says():
    """Eq. 7-10, pixel by pixel: sum over the 110 points of softmax(query key) value."""
    torch.manual_seed(0)
    block, x = NonLocalBlock(4), torch.randn(2, 4, 5, 9)
    query = F.conv2d(x, block.query.weight, block.query.bias)
    maps = [F.conv2d(x, conv.weight, conv.bias) for conv in (block.key, block.value)]
    keys, values = (
        torch.cat([F.adaptive_avg_pool2d(m, side).flatten(1) for side in (1, 3, 6, 8)], 1)
        for m in maps
    )
    actual = block(x)
    for n, y, column in ((n, y, c) for n in range(2) for y in range(5) for c in range(9)):
        powers = [math.exp(float(query[n, 0, y, column] * key)) for key in keys[n]]
        pairs = zip(powers, values[n].tolist(), strict=True)
        seen = sum(power * value for power, value in pairs) / sum(powers)
        grown = block.expand.weight[:, 0, 0, 0] * seen + block.expand.bias
        torch.testing.assert_close(actual[n, :, y, column], x[n, :, y, column] + grown)


def test_dense_shortcuts_add_each_earlier_input_by_its_weight():
    torch.manual_seed(0)
    first, second, third = (nn.Linear(5, 5) for _ in range(3))
    row = DenseShortcuts((first, second, third))
    with torch.no_grad():
        row.weights.copy_(torch.tensor([2.0, 3.0, 5.0]))  # w_1^2, w_1^3, w_2^3
    x = torch.randn(4, 5)
    x2 = first(x)
    x3 = second(x2) + 2 * x
    torch.testing.assert_close(row(x), third(x3) + 3 * x + 5 * x2)


def test_dense_shortcuts_start_as_a_plain_row():
    layers = [nn.Linear(5, 5) for _ in range(3)]
    x = torch.randn(4, 5)
    assert torch.equal(DenseShortcuts(layers)(x), nn.Sequential(*layers)(x))


def test_a_distillation_block_is_what_the_text_says():
    """Section 2.2: every step keeps its pointwise output and hands its grouped one on."""
    torch.manual_seed(0)
    block = rules.stirred(DistillationBlock(8, group_channels=4, steps=3, reduction=2))
    x = torch.randn(2, 8, 6, 6)
    kept, passed = [], x
    for step in block.steps:
        point = F.leaky_relu(step.pointwise(passed), 0.05)
        halves = [
            F.conv2d(point[:, s], step.grouped.weight[s], step.grouped.bias[s], padding=1)
            for s in (slice(0, 4), slice(4, 8))
        ]
        kept.append(point)
        passed = F.leaky_relu(torch.cat(halves, 1) + passed, 0.05)
    kept.append(F.leaky_relu(block.last(passed), 0.05))
    fused = block.fuse(torch.cat(kept, 1))
    contrast = fused.mean((2, 3)) + fused.flatten(2).std(2, correction=0)
    gate = torch.sigmoid(block.gate(contrast[:, :, None, None]))
    torch.testing.assert_close(block(x), fused * gate + block.shortcut * x)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_coarse_path_starts_as_bicubic_interpolation(scale):
    torch.manual_seed(0)
    network = GIDRN(scale, **TINY)
    nn.init.zeros_(network.fine.weight)
    image = torch.rand(2, 3, 9, 7)
    # Pillow's kernel; torch has it only where it antialiases, which enlarging does not change.
    expected = F.interpolate(
        F.pad(image, (4, 4, 4, 4), mode="replicate"),
        scale_factor=scale,
        mode="bicubic",
        antialias=True,
    )[:, :, 4 * scale : -4 * scale, 4 * scale : -4 * scale]
    actual = rules.enlarged(network, image, (9 * scale, 7 * scale))
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)


def test_the_output_has_the_requested_size(network):
    rules.assert_sizes(network)
    assert network.halo is None


def test_pictures_of_a_batch_do_not_affect_each_other(network):
    rules.assert_pictures_are_apart(network)


def test_gradients_are_right_in_double_precision():
    tiny = {**TINY, "scale": 2, "channels": 4, "group_channels": 2}
    rules.assert_gradients(rules.built(NetworkSpec("gidrn", tiny)))


def test_the_loss_falls():
    torch.manual_seed(0)
    network = build_network(NetworkSpec("gidrn", {"scale": 2, **TINY}))
    before, after = rules.training_losses(network)
    assert after < 0.7 * before  # it starts as bicubic interpolation


def test_onnx_computes_what_the_network_computes(tmp_path):
    rules.assert_onnx_computes_the_same(NetworkSpec("gidrn", {"scale": 4, **TINY}), tmp_path)


@pytest.mark.parametrize("scale", [1, 8])
def test_a_scale_beyond_the_papers_is_refused(scale):
    with pytest.raises(ValueError, match="2, 3 or 4 times"):
        GIDRN(scale)

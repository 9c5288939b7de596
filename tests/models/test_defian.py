"""DeFiAN: the paper's parameter counts, its Hessian and its alignment against their formulas."""

import pytest
import torch

from models.architectures.defian import (
    DILATIONS,
    LARGE,
    SMALL,
    DeFiAN,
    DilatedCoder,
    DistributionAlignment,
    HessianFilter,
)
from models.architectures.registry import build_network
from models.spec import NetworkSpec
from tests.models import fixed_scale_rules as rules

TINY = {"channels": 4, "modules": 2, "blocks": 1}


@pytest.fixture
def network():
    return rules.built(NetworkSpec("defian", {"scale": 2, **TINY}))


@pytest.mark.parametrize(
    ("variant", "counts"),
    [
        (SMALL, (1_027_610, 1_073_690, 1_064_474)),
        (LARGE, (15_186_057, 15_370_377, 15_333_513)),
    ],
)
def test_the_parameters_are_as_many_as_the_papers(variant, counts):
    assert tuple(rules.count("defian", {"scale": s, **variant}) for s in (2, 3, 4)) == counts


@pytest.mark.parametrize(
    ("variant", "costs"), [(SMALL, (44.2, 20.6, 12.8)), (LARGE, (651.4, 293.2, 169.5))]
)
def test_the_cost_is_that_of_the_papers_tables(variant, costs):
    """Tables I and II, in 10^9 for an output of 480 x 360; we count no biases and activations."""
    for scale, cost in zip((2, 3, 4), costs, strict=True):
        args, size = {"scale": scale, **variant}, (360 // scale, 480 // scale)
        counted = rules.multiply_accumulates("defian", args, *size)
        assert 0.99 * cost < counted / 1e9 < cost


@pytest.mark.parametrize("dilation", DILATIONS)
def test_the_hessian_filter_gives_the_larger_eigenvalue(dilation):
    """Eq. 8, 9 and 12, pixel by pixel; outside the picture is 0."""
    torch.manual_seed(0)
    features = torch.randn(2, 3, 6, 7, dtype=torch.float64)
    actual = HessianFilter(3, dilation, epsilon=0.0).double()(features)

    def at(n, c, y, x):
        inside = 0 <= y < 6 and 0 <= x < 7
        return features[n, c, y, x] if inside else features.new_zeros(())

    for n, c, y, x in torch.cartesian_prod(*(torch.arange(k) for k in features.shape)).tolist():
        d, here = dilation, at(n, c, y, x)
        hh = at(n, c, y, x - d) - 2 * here + at(n, c, y, x + d)
        vv = at(n, c, y - d, x) - 2 * here + at(n, c, y + d, x)
        hv = at(n, c, y - d, x - d) - at(n, c, y - d, x + d)
        hv = hv - at(n, c, y + d, x - d) + at(n, c, y + d, x + d)
        hessian = torch.stack((torch.stack((hh, hv)), torch.stack((hv, vv))))
        expected = torch.linalg.eigvalsh(hessian)[-1]
        torch.testing.assert_close(actual[n, c, y, x], expected)


def test_the_root_has_gradients_where_a_picture_is_flat():
    flat = torch.ones(1, 2, 9, 9, requires_grad=True)
    kept, lost = HessianFilter(2, 1, epsilon=1e-12), HessianFilter(2, 1, epsilon=0.0)
    for module, finite in ((kept, True), (lost, False)):
        (gradient,) = torch.autograd.grad(module(flat).sum(), flat)
        assert bool(gradient.isfinite().all()) is finite


def test_the_derivatives_are_not_trained(network):
    frozen = {name for name, p in network.named_parameters() if not p.requires_grad}
    of_hessians = {name for name, _ in network.named_parameters() if ".hessian." in name}
    assert frozen == of_hessians
    assert len(frozen) == 2 * 3 * 3 * 2  # stages, scales, derivatives, weight and bias


def test_the_aligned_map_has_the_moments_of_the_reference():
    """Eq. 20-22: mean f(mean of the reference), deviation f(deviation of the reference)."""
    torch.manual_seed(0)
    align = DistributionAlignment(8).double()
    observed = 3 + 5 * torch.randn(2, 1, 20, 30, dtype=torch.float64)
    reference = torch.randn(2, 8, 20, 30, dtype=torch.float64)
    reference = reference * torch.arange(1.0, 9.0).view(1, 8, 1, 1) + 2
    aligned = align(observed, reference)
    for n in range(2):
        flat = reference[n].flatten(1)
        mean, deviation = flat.mean(1), (flat.var(1) + 1e-5).sqrt()
        expected = [
            layers.fc2.weight[:, :, 0, 0] @ (layers.fc1.weight[:, :, 0, 0] @ moment).relu()
            for layers, moment in ((align.mean, mean), (align.deviation, deviation))
        ]
        torch.testing.assert_close(aligned[n].mean((1, 2)), expected[0])
        torch.testing.assert_close(
            aligned[n].flatten(1).std(1), expected[1].abs(), rtol=1e-5, atol=0
        )


def test_the_alignment_keeps_where_the_map_is_high():
    align = DistributionAlignment(4)
    observed, reference = torch.rand(1, 1, 6, 6), torch.rand(1, 4, 6, 6)
    moves = align(observed, reference) - align(observed, reference).mean((2, 3), keepdim=True)
    likeness = torch.nn.functional.cosine_similarity(
        moves.flatten(2), (observed - observed.mean()).flatten(2), dim=2
    )
    torch.testing.assert_close(likeness.abs(), (moves.abs().amax((2, 3)) > 1e-9).float())


def test_the_coder_sees_fifteen_pixels_in_its_encoder_and_as_many_in_its_decoder():
    """Section IV-D: receptive fields of 3, 7, 15 in the encoder, and on to 29 in the decoder."""
    torch.manual_seed(0)
    coder = DilatedCoder(3)
    for parameter in coder.parameters():
        torch.nn.init.uniform_(parameter, 0.01, 0.02)  # positive: no ReLU hides a reach
    widths = []
    x = torch.zeros(1, 3, 41, 41)
    changed = x.clone()
    changed[:, :, 20, 20] = 1
    for layer in (*coder.encoder, *coder.decoder):
        x, changed = torch.relu(layer(x)), torch.relu(layer(changed))
        widths.append(int((x != changed).any(1)[0].any(0).sum()))
    assert widths == [3, 7, 15, 23, 27, 29]


def test_the_output_has_the_requested_size(network):
    rules.assert_sizes(network)
    assert network.halo is None


def test_pictures_of_a_batch_do_not_affect_each_other(network):
    rules.assert_pictures_are_apart(network)


def test_gradients_are_right_in_double_precision():
    tiny = {"scale": 2, "channels": 2, "modules": 1, "blocks": 1}
    rules.assert_gradients(rules.built(NetworkSpec("defian", tiny)))


def test_the_loss_falls():
    torch.manual_seed(0)
    before, after = rules.training_losses(
        build_network(NetworkSpec("defian", {"scale": 2, **TINY}))
    )
    assert after < 0.5 * before


def test_onnx_computes_what_the_network_computes(tmp_path):
    spec = NetworkSpec("defian", {"scale": 3, "channels": 4, "modules": 1, "blocks": 1})
    rules.assert_onnx_computes_the_same(spec, tmp_path)


def test_released_quirks_change_the_colour_statistics_and_the_root():
    torch.manual_seed(0)
    clean = DeFiAN(2, channels=4, modules=2, blocks=1)
    quirky = DeFiAN(2, channels=4, modules=2, blocks=1, released_quirks=True)
    quirky.load_state_dict(clean.state_dict())
    assert {m.epsilon for m in quirky.modules() if isinstance(m, HessianFilter)} == {0.0}
    image = torch.rand(1, 3, 6, 6)
    mean, deviation = quirky.colour_mean, quirky.colour_deviation
    assert mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
    # The same network in other units of colour.
    inner = clean.enlarge((image - mean) / deviation + clean.colour_mean) - clean.colour_mean
    expected = inner * deviation + mean
    torch.testing.assert_close(rules.enlarged(quirky, image, (12, 12)), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("scale", [1, 5])
def test_a_scale_beyond_the_papers_is_refused(scale):
    with pytest.raises(ValueError, match="2, 3 or 4 times"):
        DeFiAN(scale)

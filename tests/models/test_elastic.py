"""The elastic network: shapes, widths as views, exact locality, gradients, its start."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from models.architectures.elastic import Elastic, OffsetBasis, TensorProductHead
from models.architectures.network import grid_tensors
from models.architectures.registry import NetworkSpec
from models.geometry import axis_grid, output_size
from models.train import upscale

ARGS: dict[str, Any] = {"channels": 16, "blocks": 3, "basis": 4, "widths": [4, 8, 16]}


@pytest.fixture
def network():
    """A small network whose every parameter is away from its special starting value."""
    torch.manual_seed(0)
    net = Elastic(**ARGS)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return net.eval()


@pytest.mark.parametrize("scale", [1.0, 1.5, 2.0, 2.37, 3.999, 8.0])
@pytest.mark.parametrize("channels", [4, 8, 16])
def test_the_output_has_the_asked_size_at_any_real_scale(network, scale, channels):
    size = (output_size(13, scale), output_size(22, scale))
    assert upscale(network, torch.rand(2, 3, 13, 22), size, channels).shape == (2, 3, *size)


def test_height_and_width_may_scale_apart(network):
    assert upscale(network, torch.rand(1, 3, 9, 10), (30, 11), 8).shape == (1, 3, 30, 11)


def test_the_sum_over_the_basis_is_what_the_formula_says(network):
    """out(Y, X, c) = sum_ij a_i(dy) b_j(dx) F_ijc(nearest), computed pixel by pixel."""
    head: TensorProductHead = network.head
    image, features = torch.rand(1, 3, 5, 6), torch.randn(1, 16, 5, 6)
    rows, columns = axis_grid(5, 12), axis_grid(6, 17)
    tensors = grid_tensors(rows, columns)
    actual = head(features, image, *tensors)
    field = head.coefficients(features) + head.skip(F.pad(image, (1, 1, 1, 1), mode="replicate"))
    field = field.view(4, 4, 3, 5, 6)
    a = head.rows(tensors[1], tensors[0][0]).view(-1, 4)
    b = head.columns(tensors[3], tensors[0][1]).view(-1, 4)
    for y, row in enumerate(rows.index):
        for x, column in enumerate(columns.index):
            at = field[..., row // rows.offset.shape[1], column // columns.offset.shape[1]]
            expected = torch.einsum("i,j,ijc->c", a[row], b[column], at)
            torch.testing.assert_close(actual[0, :, y, x], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [(26, 44), (31, 52), (13, 88)])
def test_without_learned_coefficients_the_network_is_bilinear_interpolation(size):
    net = Elastic(**ARGS)
    torch.nn.init.zeros_(net.head.coefficients.weight)
    image = torch.rand(2, 3, 13, 22)
    expected = F.interpolate(image, size=size, mode="bilinear", align_corners=False)
    torch.testing.assert_close(upscale(net, image, size, 16), expected, atol=1e-5, rtol=0)


def test_a_narrow_width_reads_only_a_prefix_of_the_shared_weights(network):
    image = torch.rand(1, 3, 8, 8)
    before = upscale(network, image, (20, 20), 8)
    with torch.no_grad():
        for block in network.blocks:
            block.conv1.weight[8:] += 1.0
            block.conv2.weight[:, 8:] -= 1.0
    assert torch.equal(upscale(network, image, (20, 20), 8), before)
    assert not torch.equal(upscale(network, image, (20, 20), 16), before)
    sliced = network.blocks[0].conv1.weight[:8]
    assert sliced.data_ptr() == network.blocks[0].conv1.weight.data_ptr()


@pytest.mark.parametrize("channels", [4, 16])
def test_nothing_beyond_the_halo_reaches_a_pixel(network, channels):
    image = torch.rand(1, 3, 40, 12)
    changed = image.clone()
    changed[:, :, 20] = 1 - changed[:, :, 20]
    rows = [upscale(network, i, (80, 24), channels) for i in (image, changed)]
    touched = (rows[0] != rows[1]).any(dim=(0, 1, 3)).nonzero()
    reach = max(20 - int(touched.min()) // 2, int(touched.max()) // 2 - 20)
    assert 0 < reach <= network.halo


def test_pictures_of_a_batch_do_not_touch_each_other(network):
    batch = torch.rand(3, 3, 9, 9)
    together = upscale(network, batch, (20, 20), 8)
    apart = torch.cat([upscale(network, image[None], (20, 20), 8) for image in batch])
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=1e-5)


def test_gradients_are_right_in_double_precision():
    torch.manual_seed(0)
    net = Elastic(channels=4, blocks=1, basis=3, widths=[2, 4])
    net = net.double()
    inverse, *grid = grid_tensors(axis_grid(3, 7), axis_grid(4, 9))
    offsets = [t.double() if t.is_floating_point() else t for t in grid]
    image = torch.rand(1, 3, 3, 4, dtype=torch.float64, requires_grad=True)
    torch.nn.init.normal_(net.gate.fc2.weight)
    assert torch.autograd.gradcheck(
        lambda x: net(x, inverse.double(), *offsets, 2), (image,), atol=1e-6
    )


def test_the_gate_depends_on_scale_and_width(network):
    scales = [torch.tensor([s, s]) for s in (0.5, 0.25)]
    assert not torch.equal(network.gate(scales[0], 1.0), network.gate(scales[1], 1.0))
    assert not torch.equal(network.gate(scales[0], 1.0), network.gate(scales[0], 0.5))


@pytest.mark.parametrize("widths", [[16, 8], [8], [0, 16]])
def test_widths_must_rise_to_the_full_one(widths):
    with pytest.raises(ValueError, match="widths must rise"):
        Elastic(channels=16, blocks=1, basis=3, widths=widths)


def test_an_unknown_network_is_refused():
    with pytest.raises(ValueError, match="unknown network"):
        NetworkSpec("resnet").build()


def test_the_basis_starts_as_one_d_and_its_size():
    offset = torch.tensor([[-0.25, 0.5]])
    values = OffsetBasis(4)(offset, torch.tensor(0.5))
    expected = torch.tensor([[[1, -0.25, 0.25, 0], [1, 0.5, 0.5, 0]]])
    torch.testing.assert_close(values, expected)

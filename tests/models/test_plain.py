"""The plain network: its start, its reach, and its condition."""

import pytest
import torch
import torch.nn.functional as F

from models.architectures.heads.tensor_product import bilinear_coefficients
from models.architectures.network import grid_for
from models.architectures.plain import Plain
from models.arithmetic import arithmetic_of
from models.geometry import axis_grid
from models.training.forward import upscale

CHANNELS = 8


@pytest.fixture
def network():
    """A small network whose every parameter is away from its special starting value."""
    torch.manual_seed(0)
    net = Plain(CHANNELS, layers=2, basis=2)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return net.eval()


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_it_starts_as_bilinear_interpolation_inside_the_picture(layers):
    net = Plain(CHANNELS, layers=layers, basis=4)
    with torch.no_grad():
        net.head.coefficients.weight.zero_()  # what is not the image starts at random
        net.head.coefficients.weight[:, :3] = bilinear_coefficients(4)
    image = torch.rand(1, 3, 12, 13)
    made = upscale(net, image, (30, 31), CHANNELS)
    true = F.interpolate(image, (30, 31), mode="bilinear", align_corners=False)
    inside = slice(5, -5)
    torch.testing.assert_close(made[..., inside, inside], true[..., inside, inside])


def test_it_is_what_its_formula_says(network):
    image, condition = torch.rand(2, 3, 9, 7), torch.tensor([0.5, 0.4, 0.3])
    planes = condition[None, :, None, None] * torch.ones(2, 3, 9, 7)
    first, second = network.layers
    features = F.conv2d(torch.cat((image, planes), 1), first.weight, first.bias, padding=1).relu()
    features = F.conv2d(features, second.weight, second.bias, padding=1).relu()
    torch.testing.assert_close(network.trunk(image, condition, CHANNELS), features)


def test_nothing_beyond_the_halo_reaches_a_pixel(network):
    image = torch.rand(1, 3, 40, 12)
    changed = image.clone()
    changed[:, :, 20] = 1 - changed[:, :, 20]
    rows = [upscale(network, i, (80, 24), CHANNELS) for i in (image, changed)]
    touched = (rows[0] != rows[1]).any(dim=(0, 1, 3)).nonzero()
    reach = max(20 - int(touched.min()) // 2, int(touched.max()) // 2 - 20)
    assert 0 < reach <= network.halo == 4


def test_scale_and_strength_change_the_picture(network):
    image = torch.rand(1, 3, 9, 9)
    grid = grid_for(network, axis_grid(9, 20), axis_grid(9, 20))
    conditions = ((0.45, 0.45, 0.0), (0.25, 0.45, 0.0), (0.45, 0.25, 0.0), (0.45, 0.45, 0.5))
    made = [network(image, grid._replace(condition=torch.tensor(t)), CHANNELS) for t in conditions]
    assert all(not torch.equal(made[0], other) for other in made[1:])


def test_it_costs_little():
    cost = arithmetic_of(Plain(16, layers=4, basis=2).to("meta"))
    assert cost.trunk == [9 * 6 * 16 + 3 * 9 * 16 * 16]  # multiply-accumulates of an input pixel


@pytest.mark.parametrize("args", [{"channels": 3}, {"layers": 0}], ids=lambda a: next(iter(a)))
def test_what_cannot_be_built_is_refused(args):
    with pytest.raises(ValueError, match="at least 4 channels and 1 layer"):
        Plain(**{"channels": 16, "layers": 2, "basis": 3, **args})

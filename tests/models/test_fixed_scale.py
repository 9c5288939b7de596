"""Fixed scales: the resize is Pillow's bicubic, the own scale is exact, larger ones are refused."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from models.architectures.fixed_scale import FixedScale, cubic
from models.architectures.network import grid_tensors
from models.geometry import axis_grid, output_size


class Given(FixedScale):
    """Its enlarged picture is given, whatever the input."""

    halo = None

    def __init__(self, scale, large):
        super().__init__(scale, channels=1)
        self.large = large

    def enlarge(self, image):
        assert self.large.shape[2:] == tuple(self.scale * n for n in image.shape[2:])
        return self.large


def shrunk(network, height, width, size):
    grid = grid_tensors(axis_grid(height, size[0]), axis_grid(width, size[1]))
    return network(torch.zeros(2, 3, height, width), grid, 1)


@pytest.mark.parametrize(
    ("scale", "asked"),
    [(2, (1.0, 1.0)), (2, (1.37, 1.9)), (3, (2.5, 1.1)), (4, (1.0, 3.9)), (4, (3.0, 2.0))],
)
def test_the_resize_is_antialiased_bicubic(scale, asked):
    large = torch.rand(2, 3, 9 * scale, 13 * scale)
    size = (output_size(9, asked[0]), output_size(13, asked[1]))
    expected = F.interpolate(large, size=size, mode="bicubic", antialias=True)
    torch.testing.assert_close(
        shrunk(Given(scale, large), 9, 13, size), expected, atol=1e-5, rtol=0
    )


def test_the_resize_is_that_of_pillow():
    large = torch.rand(1, 1, 36, 52)
    picture = Image.fromarray(large[0, 0].numpy())
    expected = np.asarray(picture.resize((19, 23), Image.Resampling.BICUBIC))
    actual = shrunk(Given(4, large.expand(2, 3, -1, -1)), 9, 13, (23, 19))[0, 0]
    np.testing.assert_allclose(actual, expected, atol=1e-5)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_at_its_own_scale_nothing_is_resized(scale):
    large = torch.rand(2, 3, 7 * scale, 5 * scale)
    own = shrunk(Given(scale, large), 7, 5, (7 * scale, 5 * scale))
    torch.testing.assert_close(own, large, atol=1e-6, rtol=0)


def test_a_far_pixel_is_resized_as_exactly_as_a_near_one():
    """Positions are relative to the nearest input pixel, so they lose nothing across an axis."""
    pattern = torch.rand(1, 3, 8, 1).repeat(1, 1, 500, 1).expand(2, 3, 4000, 4)
    resized = shrunk(Given(4, pattern), 1000, 1, (3000, 1))[0, 0, 60:-60, 0]
    torch.testing.assert_close(resized[:6], resized[-6:], atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", [(15, 14), (14, 15)])
def test_an_output_beyond_the_own_scale_is_refused(size):
    network = Given(2, torch.zeros(2, 3, 14, 14))
    assert network.max_scale == 2.0
    with pytest.raises(ValueError, match="enlarges at most 2 times: not 7 x 7"):
        shrunk(network, 7, 7, size)


def test_the_kernel_is_keys_cubic():
    """Its values at the knots, and that it interpolates lines."""
    assert cubic(torch.tensor([0.0, 1, -1, 2, 5, 0.5])).tolist() == [1, 0, 0, 0, 0, 0.5625]
    place = torch.linspace(-0.5, 0.5, 11)[:, None]
    taps = torch.arange(-2.0, 3.0)
    weights = cubic(taps - place)
    torch.testing.assert_close(weights.sum(1), torch.ones(11))
    torch.testing.assert_close((weights * taps).sum(1), place[:, 0], atol=1e-6, rtol=0)

"""Gaussian blur: scikit-image's in the middle, normalised at the edges, one sigma per picture."""

import torch
from skimage.filters import gaussian

from models.training.gaussian import gaussian_blur


def test_each_picture_has_its_own_sigma_by_axis():
    image = torch.rand(3, 2, 60, 70, generator=torch.Generator().manual_seed(0))
    down, along = torch.tensor([0.0, 1.0, 2.5]), torch.tensor([0.0, 2.0, 0.7])
    actual = gaussian_blur(image, down, along)
    torch.testing.assert_close(actual[0], image[0])
    for i in (1, 2):
        sigma = (0, float(down[i]), float(along[i]))
        expected = torch.from_numpy(gaussian(image[i].numpy(), sigma, truncate=8))
        middle = slice(20, -20)
        torch.testing.assert_close(
            actual[i][:, middle, middle], expected[:, middle, middle], atol=1e-5, rtol=0
        )


def test_a_flat_picture_stays_flat_to_its_edges():
    flat = torch.full((1, 3, 17, 23), 0.25)
    sigma = torch.tensor([3.0])
    torch.testing.assert_close(gaussian_blur(flat, sigma, sigma), flat)

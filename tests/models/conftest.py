"""Synthetic photographs for training small networks."""

import numpy as np
import pytest
import torch
from PIL import Image

from models.training.dataset import Photographs, list_images


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Use one thread: so small networks take several times as long on two, which wait for each
    other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def smooth_picture(seed, side=200):
    """A picture with edges and gradients, which a network can learn from."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((side, side), Image.Resampling.NEAREST).rotate(17 * seed)


@pytest.fixture
def folder(tmp_path):
    for seed in range(4):
        smooth_picture(seed).save(tmp_path / f"{seed}.png")
    return tmp_path


@pytest.fixture
def photographs(folder):
    return Photographs(list_images([folder]))

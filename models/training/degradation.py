"""Training inputs from their targets: shrunk by bicubic, and optionally damaged.

Everything runs on the target's device and no value is read back, so the host never waits for a GPU.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from models.strength import quality_of_strength
from models.training.config import Sampling
from models.training.gaussian import gaussian_blur
from models.training.jpeg import jpeg

HALVED_CHROMA_PROBABILITY = 0.75
"""Probability of halved chroma: the default of most JPEG writers, but not of all."""


def bicubic_downsample(image: Tensor, size: Sequence[int]) -> Tensor:
    """Return float [B, 3, H, W] in [0, 1] shrunk to `size` as Pillow's bicubic does it: columns
    first, then rows, each rounded to 8 bits; within 1/255 of Pillow on the same input."""
    rows = _bicubic_matrix(image.shape[2], size[0], image.device)
    columns = _bicubic_matrix(image.shape[3], size[1], image.device)
    with _exact_products():
        narrow = _to_8_bits(image @ columns.T)
        return _to_8_bits(rows @ narrow)


@contextlib.contextmanager
def _exact_products() -> Iterator[None]:
    """Disable TF32, which would cut the weights to ten bits and so darken the picture."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)


def degrade(
    target: Tensor,
    size: Sequence[int],
    sampling: Sampling,
    generator: torch.Generator,
    strength: float = 0.0,
) -> Tensor:
    """Return the input [B, 3, *size] for target [B, 3, H, W], both in [0, 1] in steps of 1/255.

    `strength` from 0 to 1 is that of the damage (see `Sampling`). All random numbers come from
    `generator` (on the CPU); at strength 0 none is drawn.
    """
    if strength == 0:
        return bicubic_downsample(target, size)
    batch, device = target.shape[0], target.device
    blur, noise, alone, coded = torch.rand(4, batch, generator=generator)
    harmed = (alone >= sampling.jpeg_alone_probability).float() * strength
    blur = (blur * harmed * sampling.blur).to(device, non_blocking=True)
    blurred = gaussian_blur(
        target, blur * (target.shape[2] / size[0]), blur * (target.shape[3] / size[1])
    )
    small = bicubic_downsample(blurred, size)
    noise = (noise * harmed * (sampling.noise / 255)).to(device, non_blocking=True)
    small = _to_8_bits(small + noise.view(-1, 1, 1, 1) * _normal(small, generator))
    quality = torch.full((batch,), float(quality_of_strength(strength)))
    halve = float(torch.rand((), generator=generator)) < HALVED_CHROMA_PROBABILITY
    coded = (coded < sampling.jpeg_probability).to(device, non_blocking=True)
    damaged = jpeg(small, quality.to(device, non_blocking=True), halve)
    return torch.where(coded.view(-1, 1, 1, 1), damaged, small)


def draw_strength(sampling: Sampling, generator: torch.Generator) -> float:
    """Draw how damaged the inputs of a step are: 0, or from (0, 1]."""
    if not sampling.damaged_probability:
        return 0.0
    damaged, strength = torch.rand(2, generator=generator).tolist()
    return 1.0 - strength if damaged < sampling.damaged_probability else 0.0


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    """Draw on the device, from a seed that the CPU's generator draws."""
    seed = int(torch.randint(2**62, (), generator=generator))
    on_device = torch.Generator(like.device).manual_seed(seed)
    return torch.randn(like.shape, generator=on_device, device=like.device)


@functools.lru_cache(maxsize=4096)
def _bicubic_matrix(n_in: int, n_out: int, device: torch.device) -> Tensor:
    """Return the weights [n_out, n_in] of Pillow's bicubic along one axis.

    A product of matrices keeps a GPU busy, which torch's own antialiased kernel, one thread for
    each output position, does not.
    """
    unit = torch.eye(n_in)[None, None]
    weights = F.interpolate(unit, (n_out, n_in), mode="bicubic", antialias=True)[0, 0]
    return weights.to(device, non_blocking=True)


def _to_8_bits(image: Tensor) -> Tensor:
    return (image.clamp(0, 1) * 255).round() / 255

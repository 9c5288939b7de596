"""Validation during training: PSNR on held-out photographs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from models.architectures.network import Network
from models.training.config import Sampling
from models.training.dataset import read_rgb
from models.training.degradation import degrade
from models.training.forward import upscale

VALIDATED_STRENGTH = 0.5
"""Strength of the second validation of runs that train on damaged inputs."""


@torch.no_grad()
def validate(
    network: Network,
    sampling: Sampling,
    files: Sequence[Path],
    device: torch.device,
    side: int = 384,
) -> dict[str, float]:
    """Return the mean RGB PSNR in dB on central crops of at most `side` pixels, by scale and width
    ("x2@48"), and for damaged inputs too ("x2@48 strength 0.5") where the run trains on them.

    Inputs are degraded as in training, identically at each call. Scales above the network's largest
    are left out.
    """
    crops = [_central_crop(read_rgb(file), side).to(device) for file in files]
    scales = [scale for scale in (2, 3, 4) if scale <= network.max_scale]
    damaged = [VALIDATED_STRENGTH] if sampling.damaged_probability else []
    result: dict[str, float] = {}
    for strength in (0.0, *damaged):
        suffix = f" strength {strength:g}" if strength else ""
        for scale in scales:
            for width in network.widths:
                psnr = [
                    _psnr(network, crop, scale, width, sampling, strength, seed)
                    for seed, crop in enumerate(crops)
                ]
                result[f"x{scale}@{width}{suffix}"] = round(sum(psnr) / len(psnr), 3)
    return result


def _psnr(
    network: Network,
    crop: Tensor,
    scale: int,
    width: int,
    sampling: Sampling,
    strength: float,
    seed: int,
) -> float:
    target = crop[None].float() / 255
    size = [n // scale for n in crop.shape[1:]]
    generator = torch.Generator().manual_seed(seed)
    small = degrade(target, size, sampling, generator, strength)
    output = upscale(network, small, target.shape[2:], width, strength=strength)
    return -10 * float(torch.log10(F.mse_loss(output.clamp(0, 1), target)))


def _central_crop(image: Tensor, side: int) -> Tensor:
    """Cut out at most side x side pixels, a multiple of 12 so that x2, x3 and x4 all divide it."""
    high, wide = (min(side, n) // 12 * 12 for n in image.shape[1:])
    top, left = (image.shape[1] - high) // 2, (image.shape[2] - wide) // 2
    return image[:, top : top + high, left : left + wide]

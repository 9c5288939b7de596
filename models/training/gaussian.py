"""Gaussian blur as two matrix products: one sigma per picture and axis, normalised at edges."""

from __future__ import annotations

import torch
from torch import Tensor


def gaussian_matrix(size: int, sigma: Tensor) -> Tensor:
    """Return [B, size, size] that blurs lines of `size` pixels; sigma [B] in pixels, 0 for none.

    Each row is a Gaussian cut off at the line's ends and normalised to sum to 1.
    """
    position = torch.arange(size, device=sigma.device, dtype=sigma.dtype)
    distance = (position[:, None] - position) / sigma.clamp(min=1e-2).view(-1, 1, 1)
    weights = torch.exp(-0.5 * distance.square())
    return weights / weights.sum(-1, keepdim=True)


def gaussian_blur(image: Tensor, sigma_h: Tensor, sigma_w: Tensor) -> Tensor:
    """Return image [B, C, H, W] blurred down its columns by sigma_h and along its rows by
    sigma_w, each [B] or [1], in pixels."""
    rows = gaussian_matrix(image.shape[2], sigma_h)[:, None]
    columns = gaussian_matrix(image.shape[3], sigma_w)[:, None]
    return rows @ image @ columns.transpose(-1, -2)

"""Training losses: pure functions of output and target [B, 3, H, W] -> one number."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from models.training.gaussian import gaussian_blur

Loss = Callable[[Tensor, Tensor], Tensor]


def l1(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference."""
    return F.l1_loss(output, target)


def high_frequency(output: Tensor, target: Tensor, sigma: float = 1.5) -> Tensor:
    """Mean absolute difference behind a Gaussian high-pass (G-IDRN, Acta Automatica Sinica 2024,
    Eq. 12). The filter is linear, so it is taken of the difference. The paper does not give
    its sigma (in target pixels): ours passes what a x2 to x4 input lacks."""
    difference = output - target
    width = torch.full((1,), sigma, device=difference.device, dtype=difference.dtype)
    return (difference - gaussian_blur(difference, width, width)).abs().mean()


def l1_and_high_frequency(
    output: Tensor, target: Tensor, alpha: float = 0.4, beta: float = 0.6
) -> Tensor:
    """alpha L1 + beta high frequency (G-IDRN, section 2.4, after Eq. 12; weights of section 3.2 and
    Table 3, which the last words of section 3.3 have the other way round)."""
    return alpha * l1(output, target) + beta * high_frequency(output, target)


LOSSES: dict[str, Loss] = {
    "l1": l1,
    "l1+high_frequency": l1_and_high_frequency,
}
OF_NEIGHBOURS = frozenset({"l1+high_frequency"})
"""Losses that compare neighbouring pixels and need the whole output."""

"""The optimiser of a training run."""

from __future__ import annotations

import torch
from torch import Tensor

from models.architectures.network import Network
from models.training.muon import MuonAdam


def build_optimiser(
    name: str, network: Network, device: torch.device, rate: float | Tensor
) -> torch.optim.Optimizer:
    """Return the optimiser of `Training.optimiser`; Muon takes the kernels that lead from features
    to features, outside the head. With a tensor as `rate` its steps can be captured."""
    if name == "adam" and not isinstance(rate, Tensor):
        fused = True if device.type == "cuda" else None
        return torch.optim.Adam(network.parameters(), lr=rate, fused=fused)
    kernels: list[Tensor] = []
    others: list[Tensor] = []
    for path, parameter in network.named_parameters():
        inner = parameter.ndim == 4 and min(parameter.shape[:2]) > 3 and "head." not in path
        (kernels if inner and name == "muon" else others).append(parameter)
    return MuonAdam(kernels, others, rate)

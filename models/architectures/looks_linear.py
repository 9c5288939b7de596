"""MLPs that start as linear functions: "looks linear" (Balduzzi et al., The Shattered Gradients
Problem, ICML 2017).

Units come in pairs of opposite sign, whose ReLUs add up to the input, so that an untrained deep MLP
passes all of its input on, instead of the little that PyTorch's initialisation does.
"""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def look_linear(mlp: nn.Sequential) -> None:
    """Initialise an MLP whose hidden layers have even numbers of units; its output starts small."""
    layers = [layer for layer in mlp if isinstance(layer, nn.Linear)]
    for place, layer in enumerate(layers):
        first, last = place == 0, place == len(layers) - 1
        high = layer.out_features if last else layer.out_features // 2
        wide = layer.in_features if first else layer.in_features // 2
        half = torch.empty(high, wide)
        if first or last:
            nn.init.normal_(half, std=wide**-0.5 * (0.1 if last else 1))
        else:
            nn.init.orthogonal_(half)
        half = half if first else torch.cat((half, -half), 1)
        layer.weight.copy_(half if last else torch.cat((half, -half), 0))
        nn.init.zeros_(layer.bias)

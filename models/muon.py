"""Muon for convolutions, Adam for the rest: one optimiser with one learning rate.

Muon (Jordan et al., 2024) replaces the momentum of a matrix by the nearest orthogonal one, which
a Newton-Schulz iteration finds from products alone: every direction of the update is as long.
A kernel [out, in, 3, 3] counts as the matrix [out, 9 in]. Its update is scaled to the length of
Adam's (Liu et al., "Muon is scalable for LLM training", 2025), so that both take the same rate.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the iteration: steepest at 0, and near 1 for singular values from 0.7 to 1.2."""
ITERATIONS = 5
LENGTH = 0.2
"""The root mean square of an Adam update, as measured by Liu et al."""


class MuonAdam(torch.optim.Optimizer):
    """Muon for `kernels`, Adam (betas 0.9 and 0.999) for `others`."""

    def __init__(
        self,
        kernels: Iterable[Tensor],
        others: Iterable[Tensor],
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        groups = [
            {"params": list(kernels), "muon": True},
            {"params": list(others), "muon": False},
        ]
        super().__init__(groups, {"lr": 0.0, "momentum": momentum, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        assert closure is None  # for the base class's signature
        for group in self.param_groups:
            with_gradient = [p for p in group["params"] if p.grad is not None]
            if group["muon"]:
                self._muon(with_gradient, group)
            else:
                for parameter in with_gradient:
                    self._adam(parameter, group)

    def _muon(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        by_shape: dict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for parameter in parameters:
            by_shape[parameter.shape].append((parameter, self._moved(parameter, group)))
        for pairs in by_shape.values():
            directions = orthogonal(torch.stack([moved.flatten(1) for _, moved in pairs]))
            length = LENGTH * max(directions.shape[1:]) ** 0.5
            for (parameter, _), direction in zip(pairs, directions, strict=True):
                parameter.add_(direction.view(parameter.shape), alpha=-group["lr"] * length)

    def _moved(self, parameter: Tensor, group: dict[str, Any]) -> Tensor:
        """Return the gradient with Nesterov's momentum."""
        gradient, state = parameter.grad, self.state[parameter]
        assert gradient is not None
        if not state:
            state["step"] = torch.zeros(())
            state["momentum"] = torch.zeros_like(parameter)
        state["step"] += 1
        state["momentum"].lerp_(gradient, 1 - group["momentum"])
        return gradient.lerp(state["momentum"], group["momentum"])

    def _adam(self, parameter: Tensor, group: dict[str, Any]) -> None:
        gradient, state = parameter.grad, self.state[parameter]
        assert gradient is not None
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        state["step"] += 1
        first, second = group["betas"]
        state["exp_avg"].lerp_(gradient, 1 - first)
        state["exp_avg_sq"].lerp_(gradient.square(), 1 - second)
        count = float(state["step"])
        mean = state["exp_avg"] / (1 - first**count)
        root = (state["exp_avg_sq"] / (1 - second**count)).sqrt_().add_(group["eps"])
        parameter.addcdiv_(mean, root, value=-group["lr"])


def orthogonal(matrices: Tensor) -> Tensor:
    """Return matrices [N, rows, columns] with all singular values near 1, by Newton-Schulz."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.transpose(1, 2) if tall else matrices
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
    a, b, c = NEWTON_SCHULZ
    for _ in range(ITERATIONS):
        square = x @ x.transpose(1, 2)
        x = a * x + (b * square + c * square @ square) @ x
    found: Tensor = x.transpose(1, 2) if tall else x
    return found

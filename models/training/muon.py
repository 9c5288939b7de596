"""Muon for convolutions, Adam for the rest: one optimiser with one learning rate.

Muon (Jordan et al., 2024) replaces the momentum of a matrix by the nearest orthogonal one, which
a Newton-Schulz iteration finds by products alone: all directions of the update are equally long.
A kernel [out, in, 3, 3] counts as the matrix [out, 9 in]. Its update is scaled to the length of
Adam's (Liu et al., "Muon is scalable for LLM training", 2025), so that both use the same rate.

With a tensor as learning rate all values that change from step to step are on the device, counts
of steps included, so that a step can be captured in a CUDA graph. The result is the same.
"""

from __future__ import annotations

import math
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
    """Muon for `kernels`, Adam (betas 0.9 and 0.999) for `others`.

    `lr`: a number, or a tensor [] on the parameters' device, which is then read there.
    """

    def __init__(
        self,
        kernels: Iterable[Tensor],
        others: Iterable[Tensor],
        lr: float | Tensor = 0.0,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        groups = [
            {"params": list(kernels), "muon": True},
            {"params": list(others), "muon": False},
        ]
        # torch's word for it: a loaded state's counts go to the device as well.
        fixed = {"betas": betas, "eps": eps, "capturable": isinstance(lr, Tensor)}
        super().__init__(groups, {"lr": lr, "momentum": momentum, **fixed})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        assert closure is None  # for the base class's signature
        for group in self.param_groups:
            with_gradient = [p for p in group["params"] if p.grad is not None]
            if with_gradient:
                (self._muon if group["muon"] else self._adam)(with_gradient, group)

    def _muon(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        moved = self._moved(parameters, group)
        by_shape: dict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for parameter, gradient in zip(parameters, moved, strict=True):
            by_shape[parameter.shape].append((parameter, gradient))
        for pairs in by_shape.values():
            directions = orthogonal(torch.stack([_as_matrix(gradient) for _, gradient in pairs]))
            length = LENGTH * max(directions.shape[1:]) ** 0.5
            like = [parameter for parameter, _ in pairs]
            steps = [_as_kernel(d, p) for d, p in zip(directions, like, strict=True)]
            rate = -group["lr"] * length
            if isinstance(rate, Tensor):
                torch._foreach_mul_(steps, rate)
                rate = 1.0
            torch._foreach_add_(like, steps, alpha=rate)

    def _moved(self, parameters: list[Tensor], group: dict[str, Any]) -> list[Tensor]:
        """Return the gradients with Nesterov's momentum."""
        states = [self._state_of(parameter, group, "momentum") for parameter in parameters]
        gradients, momenta = _gradients_of(parameters), [state["momentum"] for state in states]
        torch._foreach_add_([state["step"] for state in states], 1)
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        return list(torch._foreach_lerp(gradients, momenta, group["momentum"]))

    def _adam(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        states = [self._state_of(p, group, "exp_avg", "exp_avg_sq") for p in parameters]
        gradients = _gradients_of(parameters)
        firsts, seconds = ([s[name] for s in states] for name in ("exp_avg", "exp_avg_sq"))
        first, second = group["betas"]
        torch._foreach_add_([state["step"] for state in states], 1)
        torch._foreach_lerp_(firsts, gradients, 1 - first)
        torch._foreach_mul_(seconds, second)
        torch._foreach_addcmul_(seconds, gradients, gradients, 1 - second)
        roots, counts = torch._foreach_sqrt(seconds), [state["step"] for state in states]
        move = _move_there if isinstance(group["lr"], Tensor) else _move
        move(parameters, firsts, list(roots), counts, group)

    def _state_of(self, parameter: Tensor, group: dict[str, Any], *slots: str) -> dict[str, Tensor]:
        """Return a parameter's state, initialising it if there is none."""
        state: dict[str, Tensor] = self.state[parameter]
        if not state:
            device = parameter.device if group["capturable"] else None
            state["step"] = torch.zeros((), device=device)
            state.update({slot: torch.zeros_like(parameter) for slot in slots})
        return state


def _move(
    parameters: list[Tensor],
    firsts: list[Tensor],
    roots: list[Tensor],
    counts: list[Tensor],
    group: dict[str, Any],
) -> None:
    """Update parameters by Adam's rule from their first moments, the roots of their second ones,
    and their counts of steps on the CPU. Overwrites the roots."""
    first, second = group["betas"]
    done = [float(count) for count in counts]
    torch._foreach_div_(roots, [(1 - second**n) ** 0.5 for n in done])
    torch._foreach_add_(roots, group["eps"])
    rates = [-group["lr"] / (1 - first**n) for n in done]
    torch._foreach_addcdiv_(parameters, firsts, roots, rates)


def _move_there(
    parameters: list[Tensor],
    firsts: list[Tensor],
    roots: list[Tensor],
    counts: list[Tensor],
    group: dict[str, Any],
) -> None:
    """Do the same as `_move` with a rate and counts on the device."""
    done = torch.stack(counts)
    # expm1, because 1 - 0.999 keeps only four digits in float32.
    first, second = (torch.expm1(done * math.log(beta)) for beta in group["betas"])
    torch._foreach_div_(roots, list((-second).sqrt().unbind()))
    torch._foreach_add_(roots, group["eps"])
    torch._foreach_div_(roots, list((group["lr"] / first).unbind()))
    torch._foreach_addcdiv_(parameters, firsts, roots)


def _gradients_of(parameters: list[Tensor]) -> list[Tensor]:
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def _as_matrix(kernel: Tensor) -> Tensor:
    """View a kernel [out, in, h, w] as [out, h w in], its order in memory with channels last.
    Permuting the columns of an orthogonal matrix keeps it orthogonal."""
    return kernel.permute(0, 2, 3, 1).flatten(1)


def _as_kernel(matrix: Tensor, like: Tensor) -> Tensor:
    out, inner, height, width = like.shape
    return matrix.view(out, height, width, inner).permute(0, 3, 1, 2)


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

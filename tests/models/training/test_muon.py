"""Muon: orthogonal updates for kernels, Adam for the rest, and a state that a run resumes from."""

import pytest
import torch

from models.training.muon import LENGTH, MuonAdam, orthogonal


@pytest.mark.parametrize("shape", [(3, 8, 40), (2, 40, 8), (1, 16, 16)])
def test_all_singular_values_come_near_1(shape):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(orthogonal(matrices))
    assert values.min() > 0.3
    assert values.max() < 1.3


def test_the_direction_is_that_of_the_nearest_orthogonal_matrix():
    matrix = torch.randn(1, 6, 20, generator=torch.Generator().manual_seed(1))
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    nearest = u @ v
    found = orthogonal(matrix)
    cosine = (found * nearest).sum() / (found.norm() * nearest.norm())
    assert cosine > 0.97


def test_adam_is_torchs():
    torch.manual_seed(1)
    ours, theirs = (torch.nn.Parameter(torch.ones(5)) for _ in range(2))
    optimiser = MuonAdam([], [ours])
    reference = torch.optim.Adam([theirs])
    for rate in (1e-2, 1e-3, 5e-3):
        gradient = torch.randn(5)
        for parameter, chosen in ((ours, optimiser), (theirs, reference)):
            parameter.grad = gradient.clone()
            for group in chosen.param_groups:
                group["lr"] = rate
            chosen.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rates", [(1e-2, 1e-3, 5e-3), (0.0, 1e-2, 0.0)])
def test_a_rate_that_is_a_tensor_gives_the_same(rates):
    """Kernels of two shapes and other parameters, one of which misses two steps."""
    torch.manual_seed(1)
    shapes = [(8, 8, 3, 3), (8, 8, 3, 3), (4, 8, 3, 3)], [(8,), (5, 3), ()]
    starts = [[torch.randn(shape) for shape in some] for some in shapes]
    results = []
    for rate in (0.0, torch.zeros(())):
        kernels, others = ([torch.nn.Parameter(t.clone()) for t in some] for some in starts)
        optimiser = MuonAdam(kernels, others, rate)
        generator = torch.Generator().manual_seed(2)
        for step in range(3 * len(rates)):
            for parameter in (*kernels, *others):
                parameter.grad = torch.randn(parameter.shape, generator=generator)
            if step in (2, 4):
                others[0].grad = None
            for group in optimiser.param_groups:
                value = rates[step % len(rates)]
                group["lr"] = value if isinstance(rate, float) else rate.fill_(value)
            optimiser.step()
        results.append([*kernels, *others])
        assert [float(optimiser.state[p]["step"]) for p in others] == [7, 9, 9]
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


def test_an_update_is_as_long_as_adams():
    torch.manual_seed(1)
    kernel = torch.nn.Parameter(torch.zeros(16, 16, 3, 3))
    kernel.grad = torch.randn_like(kernel)
    optimiser = MuonAdam([kernel], [])
    optimiser.param_groups[0]["lr"] = 1.0
    optimiser.step()
    assert float(kernel.detach().square().mean().sqrt()) == pytest.approx(LENGTH, rel=0.25)


def test_muon_minimises_a_function():
    torch.manual_seed(1)
    target, kernel = torch.randn(8, 8, 3, 3), torch.nn.Parameter(torch.zeros(8, 8, 3, 3))
    optimiser = MuonAdam([kernel], [])
    for step in range(200):
        optimiser.zero_grad()
        (kernel - target).square().sum().backward()
        optimiser.param_groups[0]["lr"] = 0.3 * (1 - step / 200)
        optimiser.step()
    assert (kernel - target).abs().max() < 0.1

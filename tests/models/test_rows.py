"""No row of a picture stands out: every shipped network on smooth ramps, at every integer and
half-integer scale that it serves, row by row and column by column up to the rim.

At some scales an output pixel lies on the centre of the last input pixel, where rules that search
for neighbours degenerate. Quality is measured without the border, so it does not show this.
"""

import functools

import numpy as np
import pytest
import torch

from models.architectures.heads.liif import LIIF
from models.architectures.heads.neighbours import ensemble, neighbours
from models.architectures.heads.srno import SRNO
from models.architectures.network import grid_tensors
from models.catalog import SHIPPED, read_catalog, verified
from models.export import eager_runner, inputs_of, onnx_runner
from models.geometry import AxisGrid, axis_grid, output_size
from models.network_file import load_network

SIZE = (4, 5)
SCALES = [half / 2 for half in range(2, 17)]
ON_CENTRES = [3.0, 5.0, 7.0]
"""Scales at which an output pixel lies on the last input pixel's centre."""
HALFWAY = [1.5, 2.5]
"""Scales at which output pixels lie halfway between two input pixels."""
WITH_ENSEMBLE = ["anysr-edsr-liif", "anysr-edsr-srno", "fpen-pica-liif"]

HAIR = 2.0**-10
"""In input pixels."""
STEADY = 0.5
"""Largest change, in levels of 8 bits, of a pixel that is moved by a hair."""


def ramps():
    """A picture that rises from left to right, and one that rises from top to bottom."""
    height, width = SIZE
    across = np.broadcast_to(np.linspace(0.15, 0.85, width), SIZE)
    down = np.broadcast_to(np.linspace(0.15, 0.85, height)[:, None], SIZE)
    pictures = [np.stack((r, 1 - r, 0.2 + 0.5 * r)) for r in (across, down)]
    return np.stack(pictures).astype(np.float32)


def grids(scale, moved=0.0):
    """Return rows and columns, every output pixel `moved` by so many input pixels."""
    whole = (axis_grid(n, output_size(n, scale)) for n in SIZE)
    rows, columns = (
        AxisGrid(g.offset + np.float32(moved), g.index, g.inverse_scale) for g in whole
    )
    return rows, columns


def made(network, run, scale, moved=0.0):
    """Return the larger ramps in levels of 8 bits."""
    rows, columns = grids(scale, moved)
    return 255 * run(inputs_of(network, ramps(), rows, columns, strength=0.0))


def roughness(levels):
    """Return by how much each line differs from the mean of its neighbours, somewhere: of rows
    [B, C, Y, X] that stand above one another."""
    middle = (levels[:, :, 2:] + levels[:, :, :-2]) / 2
    return np.abs(levels[:, :, 1:-1] - middle).max((0, 1, 3))


def rough_ends(across, down):
    """Return how rough the first and the second half of the lines are, where a picture is the same
    along them: rows of the ramp across, columns of the one that goes down."""
    lines = [roughness(across), roughness(down.transpose(0, 1, 3, 2))]
    halves = [(line[: (len(line) + 1) // 2], line[len(line) // 2 :]) for line in lines]
    return [(first.max(), second.max()) for first, second in halves]


@functools.cache
def shipped(name):
    entry = read_catalog().get(name)
    return entry, load_network(verified(SHIPPED, entry.weights))[1]


@pytest.mark.parametrize("name", read_catalog().names)
def test_no_row_of_a_shipped_network_stands_out(name):
    """Without a rim, networks take the outside of the picture for black, at both ends alike."""
    entry, network = shipped(name)
    run = eager_runner(network, network.channels)
    for scale in (s for s in SCALES if s <= entry.max_scale):
        levels = made(network, run, scale)
        for first, last in rough_ends(levels[:1], levels[1:]):
            assert last <= 2 * first + 2, scale
        if scale in (1.0, *HALFWAY, *ON_CENTRES):
            nearby = made(network, run, scale, HAIR)
            assert np.abs(nearby - levels).max() <= STEADY, scale


@pytest.mark.parametrize("name", WITH_ENSEMBLE)
def test_no_row_of_a_shipped_graph_stands_out(name):
    entry, network = shipped(name)
    for width in entry.widths:
        run = onnx_runner(verified(SHIPPED, width.onnx))
        for scale in ON_CENTRES:
            levels = made(network, run, scale)
            for first, last in rough_ends(levels[:1], levels[1:]):
                assert last <= 2 * first + 2, scale
            moved = np.abs(made(network, run, scale, HAIR) - levels).max()
            assert moved <= STEADY, (width.channels, scale)


def ensemble_of(scale, moved=0.0):
    rows, columns = grids(scale, moved)
    _, *grid = grid_tensors(rows, columns)
    return ensemble(neighbours(*grid[:2]), neighbours(*grid[2:]))


@pytest.mark.parametrize("scale", SCALES)
def test_weights_of_neighbours_change_steadily(scale):
    """They are those of linear interpolation, whatever the other axis does."""
    weights = ensemble_of(scale)
    torch.testing.assert_close(weights, ensemble_of(scale, HAIR), atol=3 * HAIR, rtol=0)
    rows, columns = weights.unflatten(0, (2, 2)).sum(1), weights.unflatten(0, (2, 2)).sum(0)
    torch.testing.assert_close(rows, rows[:, :, :1].expand_as(rows), atol=1e-4, rtol=0)
    torch.testing.assert_close(columns, columns[:, :1].expand_as(columns), atol=1e-4, rtol=0)


def released_weights(n_in, n_out, across):
    """LIIF's weights of the last output pixel that lies on an input pixel's centre, in float32 as
    its code computes them, with offsets `across` [2, X] on the other axis; None where rounding
    puts it right on the centre."""
    inputs, outputs = (torch.arange(n).float() * (2 / n) - 1 + 1 / n for n in (n_in, n_out))
    offset = (outputs[n_out - 1 - n_out // n_in // 2] - inputs[-1]) * n_in
    if abs(offset) < 1e-6:
        return None
    areas = (offset * across).abs() + 1e-9
    return areas.flip(0) / areas.sum(0) / 2


def test_on_the_last_centre_weights_are_what_the_released_rounding_makes_them():
    compared = 0
    for n_in in range(4, 60):
        rows, columns = axis_grid(n_in, 3 * n_in), axis_grid(SIZE[1], 4 * SIZE[1])
        _, *grid = grid_tensors(rows, columns)
        across = neighbours(*grid[2:])
        ours = ensemble(neighbours(*grid[:2]), across)[:2, 3 * n_in - 2]
        theirs = released_weights(n_in, 3 * n_in, 2 * across.offset)
        if theirs is not None:
            compared += 1
            torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=0)
    assert compared > 30


def shaken(kind, **args):
    torch.manual_seed(0)
    head = kind(4, **args).eval()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return head


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("kind", [LIIF, SRNO])
@pytest.mark.parametrize("scale", [1.0, *ON_CENTRES])
@torch.no_grad()
def test_both_forms_of_a_head_change_steadily(kind, plain, scale):
    sizes = {"hidden": 16} if kind is LIIF else {"channels": 16, "heads": 4}
    head = shaken(kind, plain=plain, **sizes)
    torch.manual_seed(1)
    seen = torch.randn(1, 4, *SIZE), torch.rand(1, 3, *SIZE)
    here, near = (head(*seen, grid_tensors(*grids(scale, m))) for m in (0.0, HAIR))
    torch.testing.assert_close(here, near, atol=5e-3, rtol=0)


@pytest.mark.parametrize("scale", [1.0, *ON_CENTRES])
@torch.no_grad()
def test_the_last_tile_is_what_the_whole_is(scale):
    head = shaken(LIIF, hidden=16)
    torch.manual_seed(1)
    features, image = torch.randn(1, 4, 12, 13), torch.rand(1, 3, 12, 13)
    last, window = 4 * int(scale), 4 + head.halo
    sizes = [(n, output_size(n, scale)) for n in (12, 13)]
    rows, columns = (axis_grid(n, m) for n, m in sizes)
    whole = head(features, image, grid_tensors(rows, columns))
    rows, columns = (axis_grid(n, m, (n - window, n), (m - last, m)) for n, m in sizes)
    shown = [t[:, :, -window:, -window:] for t in (features, image)]
    part = head(*shown, grid_tensors(rows, columns))
    torch.testing.assert_close(part, whole[:, :, -last:, -last:], atol=1e-5, rtol=0)

"""The tensor-product head and the heads of the AnySR paper: each against its formula written out
pixel by pixel, its fast form against its plain one, and what a tile may rely on."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from models.architectures.heads.arbsr import ArbSR
from models.architectures.heads.liif import LIIF
from models.architectures.heads.metasr import MetaSR
from models.architectures.heads.neighbours import bilinear, ensemble, neighbours
from models.architectures.heads.srno import SRNO, HeadNorm
from models.architectures.heads.tensor_product import (
    OffsetBasis,
    TensorProductHead,
    bilinear_coefficients,
)
from models.architectures.network import Grid, grid_tensors
from models.architectures.registry import HEADS
from models.geometry import axis_grid
from models.training.queries import draw_queries

SIZE, OUTPUT = (5, 6), (12, 17)
CASES = [
    ((5, 6), (12, 17)),
    ((4, 4), (4, 4)),
    ((6, 4), (9, 6)),
    ((3, 7), (24, 8)),
    ((1, 2), (3, 5)),
    ((4, 5), (12, 25)),
]


def grid_of(size=SIZE, output=OUTPUT):
    return grid_tensors(axis_grid(size[0], output[0]), axis_grid(size[1], output[1]))


def inputs(size=SIZE, channels=4, batch=2):
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(batch, channels, *size, generator=generator)
    return features, torch.rand(batch, 3, *size, generator=generator)


def shaken(head):
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return head.eval()


def looked_up(number, n_in, n_out, side):
    """A neighbour as the released code finds it: coordinates in [-1, 1], half an input pixel to
    the side, a nudge, a clamp, the nearest; and the output pixel's place from it, times n_in."""
    coordinate = -1 + (2 * number + 1) / n_out
    at = min(max(coordinate + side / n_in + 1e-6, -1 + 1e-6), 1 - 1e-6)
    index = math.floor((at + 1) / 2 * n_in)
    return index, (coordinate - (-1 + (2 * index + 1) / n_in)) * n_in


@pytest.mark.parametrize(("size", "output"), CASES)
def test_neighbours_are_those_of_coordinates_in_minus_one_to_one(size, output):
    _, *grid = grid_of(size, output)
    for axis, n_in, n_out in ((grid[:2], size[0], output[0]), (grid[2:], size[1], output[1])):
        found = neighbours(*axis)
        for which, side in enumerate((-1, 1)):
            for number in range(n_out):
                index, relative = looked_up(number, n_in, n_out, side)
                assert found.index[which, number] == index
                assert 2 * found.offset[which, number] == pytest.approx(relative, abs=1e-5)


def test_ensemble_weights_are_the_areas_of_the_opposite_neighbours():
    _, *grid = grid_of()
    weights = ensemble(neighbours(*grid[:2]), neighbours(*grid[2:]))
    for y in range(OUTPUT[0]):
        for x in range(OUTPUT[1]):
            areas = []
            for side_y in (-1, 1):
                for side_x in (-1, 1):
                    high = looked_up(y, SIZE[0], OUTPUT[0], side_y)[1]
                    wide = looked_up(x, SIZE[1], OUTPUT[1], side_x)[1]
                    areas.append(abs(high * wide) + 1e-9)
            for number, opposite in enumerate((3, 2, 1, 0)):
                expected = areas[opposite] / sum(areas)
                assert weights[number, y, x] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("size", "output"), CASES)
def test_the_bilinear_skip_is_interpolation(size, output):
    _, image = inputs(size)
    _, *grid = grid_of(size, output)
    made = bilinear(image, neighbours(*grid[:2]), neighbours(*grid[2:]))
    expected = F.interpolate(image, output, mode="bilinear", align_corners=False)
    torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)


def test_the_tensor_product_is_what_its_formula_says():
    """out(Y, X, c) = sum_ij a_i(dy) b_j(dx) F_ijc(nearest), computed pixel by pixel."""
    head, (features, image) = shaken(TensorProductHead(4, basis=5)), inputs()
    rows, columns = (axis_grid(n, m) for n, m in zip(SIZE, OUTPUT, strict=True))
    grid = grid_tensors(rows, columns)
    made = head(features, image, grid)
    field = head.coefficients(features) + head.skip(F.pad(image, (1, 1, 1, 1), mode="replicate"))
    field = field.view(2, 5, 5, 3, *SIZE)
    a = head.rows(grid.row_offset, grid.condition[0]).view(-1, 5)
    b = head.columns(grid.column_offset, grid.condition[1]).view(-1, 5)
    for y, row in enumerate(rows.index):
        for x, column in enumerate(columns.index):
            at = field[..., row // rows.offset.shape[1], column // columns.offset.shape[1]]
            expected = torch.einsum("i,j,nijc->nc", a[row], b[column], at)
            torch.testing.assert_close(made[:, :, y, x], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("size", "output"), CASES)
def test_without_learnt_coefficients_the_tensor_product_is_bilinear_interpolation(size, output):
    head, (features, image) = TensorProductHead(4, basis=4), inputs(size)
    torch.nn.init.zeros_(head.coefficients.weight)
    made = head(features, image, grid_of(size, output))
    expected = F.interpolate(image, output, mode="bilinear", align_corners=False)
    torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)


def test_the_basis_starts_as_one_d_and_its_size():
    offset = torch.tensor([[-0.25, 0.5]])
    values = OffsetBasis(4)(offset, torch.tensor(0.5))
    expected = torch.tensor([[[1, -0.25, 0.25, 0], [1, 0.5, 0.5, 0]]])
    torch.testing.assert_close(values, expected)


def test_in_two_functions_a_picture_starts_as_a_straight_line_for_each_input_pixel():
    """Its value, and half the difference of its neighbours as the slope."""
    head, (features, image) = TensorProductHead(4, basis=2), inputs((5, 1))
    torch.nn.init.zeros_(head.coefficients.weight)
    made = head(features, image, grid_of((5, 1), (10, 1)))
    slope = (image[:, :, 2:] - image[:, :, :-2]) / 2
    inner = torch.stack((image[:, :, 1:-1] - slope / 4, image[:, :, 1:-1] + slope / 4), 3)
    torch.testing.assert_close(made[:, :, 2:-2], inner.reshape(2, 3, 6, 1))


@pytest.mark.parametrize("basis", [2, 4])
def test_without_a_skip_the_image_is_the_first_features(basis):
    with_skip, without = TensorProductHead(3, basis), TensorProductHead(3, basis, skip=False)
    torch.nn.init.zeros_(with_skip.coefficients.weight)
    with torch.no_grad():
        without.coefficients.weight.copy_(bilinear_coefficients(basis))
    _, image = inputs()
    made, expected = (h(image, image, grid_of())[:, :, 3:-3, 3:-3] for h in (without, with_skip))
    torch.testing.assert_close(made, expected)  # but at the rim, which is black without it


def test_a_basis_of_one_function_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        TensorProductHead(4, basis=1)


def test_liif_is_what_its_formula_says():
    head, (features, image) = shaken(LIIF(4, hidden=8, layers=2)), inputs()
    made = head(features, image, grid_of())
    unfolded = F.unfold(features, 3, padding=1).view(2, 36, *SIZE)
    cell = torch.tensor([2 * n / m for n, m in zip(SIZE, OUTPUT, strict=True)])
    for y in range(OUTPUT[0]):
        for x in range(OUTPUT[1]):
            answers, areas = [], []
            for side_y in (-1, 1):
                for side_x in (-1, 1):
                    i, high = looked_up(y, SIZE[0], OUTPUT[0], side_y)
                    j, wide = looked_up(x, SIZE[1], OUTPUT[1], side_x)
                    known = torch.cat((torch.tensor([high, wide]), cell)).expand(2, 4)
                    answers.append(head.layers(torch.cat((unfolded[:, :, i, j], known), 1)))
                    areas.append(abs(high * wide) + 1e-9)
            total: Any = sum(a * b for a, b in zip(answers, areas[::-1], strict=True))
            blended = total / sum(areas)
            torch.testing.assert_close(made[:, :, y, x], 0.5 * blended + 0.5, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("size", "output"), CASES)
def test_metasr_is_what_its_formula_says(size, output):
    head, (features, image) = shaken(MetaSR(4, hidden=8)), inputs(size)
    made = head(features, image, grid_of(size, output))
    unfolded = F.unfold(features, 3, padding=1).view(2, 36, *size)
    for y in range(output[0]):
        for x in range(output[1]):
            # The upper left corner of the output pixel, in integers, and the pixel that holds it.
            (i, down), (j, across) = (
                (p * n // m, p * n % m / m)
                for p, n, m in ((y, size[0], output[0]), (x, size[1], output[1]))
            )
            known = torch.tensor([down, across, size[0] / output[0]])
            kernel = head.fc2(F.relu(head.fc1(known))).view(36, 3)
            expected = 0.5 * unfolded[:, :, i, j] @ kernel + 0.5
            torch.testing.assert_close(made[:, :, y, x], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("quirk", [False, True])
def test_srno_is_what_its_formula_says(quirk):
    head = shaken(SRNO(4, channels=8, heads=2, released_quirks=quirk))
    features, image = inputs()
    made = head(features, image, grid_of())
    tokens = []
    for y in range(OUTPUT[0]):
        for x in range(OUTPUT[1]):
            places, found, areas = [], [], []
            for side_y in (-1, 1):
                for side_x in (-1, 1):
                    i, high = looked_up(y, SIZE[0], OUTPUT[0], side_y)
                    j, wide = looked_up(x, SIZE[1], OUTPUT[1], side_x)
                    places += [high, wide]
                    found.append(features[:, :, i, j])
                    areas.append(abs(high * wide) + 1e-9)
            weighted = [f * a / sum(areas) for f, a in zip(found, areas[::-1], strict=True)]
            cell = [2 * n / m for n, m in zip(SIZE, OUTPUT, strict=True)]
            known = [torch.tensor(p).expand(2, -1) for p in (places, cell)]
            tokens.append(head.lift(torch.cat((known[0], *weighted, known[1]), 1)))
    run: Any = torch.stack(tokens, 1)
    for block in head.blocks:
        run = galerkin(block, run, quirk)
    colour = 0.5 * head.fc2(F.gelu(head.fc1(run))).transpose(1, 2).reshape(2, 3, *OUTPUT)
    skip = F.interpolate(image, OUTPUT, mode="bilinear", align_corners=False)
    torch.testing.assert_close(made, colour + skip, atol=1e-5, rtol=1e-4)


def galerkin(block, x, quirk):
    """q (k^T v) / N by head, with q, k and v of each head side by side in the projection."""
    attended = []
    for number, part in enumerate(block.qkv(x).split(12, dim=2)):
        q, k, v = part.split(4, dim=2)
        k = normed(k, block.key_norm, number, quirk)
        v = normed(v, block.value_norm, number, quirk)
        attended.append(q @ (k.transpose(1, 2) @ v) / x.shape[1])
    y = torch.cat(attended, 2) + x
    return block.project2(F.gelu(block.project1(y))) + x


def normed(x, norm, head, quirk):
    weight, bias = norm.weight[head], norm.bias[head]
    if not quirk:
        return F.layer_norm(x, x.shape[-1:], weight, bias)
    return weight * (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-5) + bias


def test_head_norm_without_the_quirk_is_layer_normalisation():
    norm, x = HeadNorm(2, 4, quirk=False), torch.randn(3, 5, 2, 4)
    torch.testing.assert_close(norm(x), F.layer_norm(x, (4,)), atol=1e-5, rtol=1e-5)


def test_arbsr_upsampling_is_what_its_formula_says():
    """Per output pixel: kernels mixed of the experts, applied to what lies at the learnt place."""
    head, features = shaken(ArbSR(8, adaptions=0)), inputs(channels=8)[0]
    upsample = head.upsample
    made = upsample(features, grid_of())
    inverse, *_ = grid_of()
    compress = upsample.compress.weight.view(4, 1, 8)
    expand = upsample.expand.weight.view(8, 4, 1)
    for y in range(OUTPUT[0]):
        for x in range(OUTPUT[1]):
            at = [
                (p + 0.5) * n / m - 0.5
                for p, n, m in ((y, SIZE[0], OUTPUT[0]), (x, SIZE[1], OUTPUT[1]))
            ]
            offset = [a - math.floor(a + 0.5) for a in at]
            known = torch.tensor([float(inverse[1]), float(inverse[0]), *offset])
            routes = upsample.route(embedded := upsample.embed(known))
            shift = upsample.offset(embedded).detach()
            sampled = sample(features, at[0] + float(shift[1]), at[1] + float(shift[0]))
            squeezed = sampled @ torch.einsum("e,eio->io", routes, compress).T
            mixed = squeezed @ torch.einsum("e,oei->oi", routes, expand).T + sampled
            torch.testing.assert_close(made[:, :, y, x], mixed, atol=1e-5, rtol=1e-4)


def sample(features, y, x):
    """Bilinear interpolation at a place in pixels; nothing beyond the edge."""
    total = torch.zeros(features.shape[:2])
    for i in (math.floor(y), math.floor(y) + 1):
        for j in (math.floor(x), math.floor(x) + 1):
            if 0 <= i < features.shape[2] and 0 <= j < features.shape[3]:
                total += (1 - abs(y - i)) * (1 - abs(x - j)) * features[:, :, i, j]
    return total


@pytest.mark.parametrize("size", [(6, 8), (5, 7)])
def test_arbsr_adaption_adds_a_masked_convolution_of_the_scales_kernel(size):
    adaption = shaken(ArbSR(8)).adaptions[0]
    features, inverse = inputs(size, channels=8)[0], torch.tensor([0.4, 0.7])
    made = adaption(features, inverse)
    routes, kernels = adaption.route(inverse), adaption.experts.view(4, 8, 8, 3, 3)
    kernel = sum(w * k for w, k in zip(routes, kernels, strict=True))
    added = F.conv2d(features, kernel, padding=1)
    mask = (made - features) / added
    assert (mask > 0).all()
    assert (mask < 1).all()
    spread = (mask - mask.mean(1, keepdim=True)).abs()
    assert spread[added.abs() > 0.1].max() < 1e-4  # one number for all channels of a pixel


PAIRS: list[tuple[type, dict[str, Any]]] = [
    (LIIF, {"hidden": 16}),
    (MetaSR, {"hidden": 16}),
    (SRNO, {"channels": 16, "heads": 4}),
    (SRNO, {"channels": 16, "heads": 4, "released_quirks": True}),
]


@pytest.mark.parametrize(("kind", "args"), PAIRS)
@pytest.mark.parametrize(("size", "output"), CASES)
def test_the_fast_form_is_the_plain_one(kind, args, size, output):
    torch.manual_seed(0)
    head, (features, image) = kind(8, **args), inputs(size, channels=8)
    fast = head(features, image, grid_of(size, output))
    head.plain = True
    plain = head(features, image, grid_of(size, output))
    torch.testing.assert_close(fast, plain, atol=1e-5 * float(plain.detach().abs().max()), rtol=0)


@pytest.mark.parametrize("kind", [LIIF, MetaSR])
def test_a_local_head_reaches_no_further_than_its_halo(kind):
    head, (features, image) = shaken(kind(4, hidden=8)), inputs((11, 12), batch=1)
    grid = grid_of((11, 12), (26, 29))
    other = features.clone()
    other[:, :, 5, 6] += 1
    moved = (head(features, image, grid) - head(other, image, grid)).abs().amax((0, 1)) > 1e-7
    rows, columns = moved.any(1).nonzero().flatten(), moved.any(0).nonzero().flatten()
    reach = max(
        max(abs(5 - (2 * int(y) + 1) * 11 // 52) for y in rows),
        max(abs(6 - (2 * int(x) + 1) * 12 // 58) for x in columns),
    )
    assert reach == head.halo


# SRNO's attention is over all output pixels: of a part of them it is an estimate, as in its paper.
BY_THEMSELVES: dict[str, dict[str, Any]] = {
    **{name: {} for name in HEADS if name != "srno"},
    "pica": {"head": {"name": "arbsr"}},
    "tensor_product": {"basis": 3},
}


@pytest.mark.parametrize("name", BY_THEMSELVES)
def test_training_judges_the_pixels_that_the_whole_picture_has(name):
    """A head that mixes output pixels says so (`output_halo`): it would learn from false ones."""
    head, (features, image) = shaken(HEADS[name](8, **BY_THEMSELVES[name])), inputs(channels=8)
    grid = grid_of()
    queries = draw_queries(OUTPUT, 6, head.output_halo, torch.Generator().manual_seed(5))
    rows, columns = queries[:2]
    whole = head(features, image, grid)
    drawn = {"row_index": grid.row_index[rows], "column_index": grid.column_index[columns]}
    made = head(features, image, grid._replace(**drawn))
    torch.testing.assert_close(
        queries.loss_pixels(made), queries.loss_pixels_of(whole), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("name", ["tensor_product", "metasr", "liif", "arbsr", "srno"])
def test_gradients_are_what_differences_say(name):
    torch.manual_seed(2)
    small = {
        "tensor_product": {"basis": 3},
        "metasr": {"hidden": 4},
        "liif": {"hidden": 4, "layers": 1},
        "arbsr": {"experts": 2},
    }
    args: dict[str, Any] = small.get(name, {"channels": 4, "heads": 2})
    head = HEADS[name](8 if name == "arbsr" else 2, **args).double().eval()
    features, image = (t.double() for t in inputs((3, 4), 8 if name == "arbsr" else 2, batch=1))
    grid = Grid(*(t.double() if t.is_floating_point() else t for t in grid_of((3, 4), (4, 7))))
    assert torch.autograd.gradcheck(
        lambda x: head(x, image, grid), (features.requires_grad_(),), atol=1e-6
    )


PAGE = Path(__file__).parents[2] / "docs" / "models" / "anysr.md"


@pytest.mark.parametrize(
    "make", [lambda: LIIF(4, hidden=8, layers=2), lambda: SRNO(4, channels=8, heads=2)]
)
def test_beyond_x4_an_output_pixel_has_its_own_size(make):
    """The released demonstrations enlarge it there, as the page says."""
    head, (features, image) = make(), inputs((4, 4))
    grid = grid_of((4, 4), (24, 24))
    assert grid.condition.tolist() == pytest.approx([1 / 6, 1 / 6])
    enlarged = grid._replace(condition=torch.full((2,), 1 / 4))
    made, otherwise = (head(features, image, g) for g in (grid, enlarged))
    assert not torch.allclose(made, otherwise)
    page = PAGE.read_text()
    assert "multiply it by s / 4" in page
    assert "its own size at every scale" in page


def test_the_page_says_which_scales_the_encoder_gets():
    assert "each axis's own ratio of sizes, rounded to tenths" in PAGE.read_text()

"""CiaoSR's head: its attention over four neighbours and its non-local branch against the formulas
written out, its switches, its bounds on memory, and the public checkpoints' names."""

import math
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F

from models.architectures.anysr import MEAN
from models.architectures.chunks import in_chunks
from models.architectures.heads import ciaosr, cross_scale
from models.architectures.heads.ciaosr import CiaoSR
from models.architectures.heads.cross_scale import CrossScaleAttention
from models.architectures.network import Grid, grid_tensors
from models.architectures.registry import build_network
from models.convert import ConversionError, from_public, to_public
from models.geometry import axis_grid, output_size
from models.layouts.ciaosr import CONSTANTS, PREFIX
from models.spec import NetworkSpec
from models.training.config import Sampling
from models.training.forward import upscale
from tests.models.falling_loss import losses

SIZE, OUTPUT = (5, 6), (12, 17)
SMALL = {"hidden": 8, "window": 4}
SWITCHES = [
    {},
    {"non_local": False},
    {"attention": False},
    {"non_local": False, "attention": False},
    {"released_quirks": True},
]


def grid_of(size=SIZE, output=OUTPUT, dtype=torch.float32):
    grid = grid_tensors(axis_grid(size[0], output[0]), axis_grid(size[1], output[1]))
    return Grid(*(t.to(dtype) if t.is_floating_point() else t for t in grid))


def inputs(size=SIZE, channels=4, batch=2):
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(batch, channels, *size, generator=generator)
    return features, torch.rand(batch, 3, *size, generator=generator)


def head_of(**switches):
    torch.manual_seed(0)
    return CiaoSR(4, **{**SMALL, **switches}).eval()


def looked_up(number, n_in, n_out, side, quirks):
    """Return a neighbour by the papers' code, in coordinates of [-1, 1]: its index, and the output
    pixel's offset from it, times n_in."""
    coordinate = -1 + (2 * number + 1) / n_out
    reach = (1 - 2 / n_out) / (n_in - 1) if quirks else 1 / n_in
    at = min(max(coordinate + side * reach + 1e-6, -1 + 1e-6), 1 - 1e-6)
    index = math.floor((at + 1) / 2 * n_in)
    return index, (coordinate - (-1 + (2 * index + 1) / n_in)) * n_in


def queried(number, n_in, n_out, quirks):
    """Return the input pixel whose patch is an output pixel's query: the nearest; halfway between
    two, the second one, or the even one in the released code, by the rounding of grid_sample."""
    place = Fraction((2 * number + 1) * n_in, 2 * n_out) - Fraction(1, 2)
    return round(place) if quirks else math.floor(place + Fraction(1, 2))


@pytest.mark.parametrize("switches", SWITCHES, ids=str)
@pytest.mark.parametrize(("size", "output"), [(SIZE, OUTPUT), ((4, 6), (6, 15))])
@torch.no_grad()
def test_the_head_is_attention_over_four_neighbours(switches, size, output):
    """Eq. 4 and 5, pixel by pixel, with whole MLPs of whole inputs."""
    head, (features, image) = head_of(**switches), inputs(size)
    made = head(features, image, grid_of(size, output))
    keys = F.unfold(features, 3, padding=1).view(2, 36, *size)
    values = keys if head.cs_attn is None else torch.cat((keys, head.cs_attn(features)), 1)
    cell = torch.tensor([2 * n / m for n, m in zip(size, output, strict=True)])
    skip = F.interpolate(image, output, mode="bilinear", align_corners=False)
    quirks = head.released_quirks
    for y in range(output[0]):
        for x in range(output[1]):
            at = [queried(*axis, quirks) for axis in zip((y, x), size, output, strict=True)]
            query, scores, found = keys[:, :, at[0], at[1]], [], []
            for side_y in (-1, 1):
                for side_x in (-1, 1):
                    i, high = looked_up(y, size[0], output[0], side_y, quirks)
                    j, wide = looked_up(x, size[1], output[1], side_x, quirks)
                    place = torch.cat((torch.tensor([high, wide]), cell)).expand(2, 4)
                    key, value = keys[:, :, i, j], values[:, :, i, j]
                    score = head.imnet_k(torch.cat((key, place), 1))
                    if head.attention:
                        score = (query * key * score).sum(1, keepdim=True)
                    scores.append(score)
                    found.append(value * head.imnet_v(torch.cat((value, place), 1)))
            shares = torch.softmax(torch.cat(scores, 1), 1)
            mixture = (shares[:, :, None] * torch.stack(found, 1)).sum(1)
            expected = head.imnet_q(mixture) + skip[:, :, y, x]
            torch.testing.assert_close(made[:, :, y, x], expected, atol=1e-5, rtol=1e-4)


def plain_cross_scale(branch, features):
    """Eq. 7 and 8 for one picture [1, C, H, W] and the whole of it, query by query."""
    _, channels, height, width = features.shape
    even = F.pad(features, (0, width % 2, 0, height % 2), mode="reflect")
    _, _, high, wide = even.shape
    query = F.pad(branch.conv_match_1(even), (1, 1, 1, 1))[0]
    half = F.interpolate(even, scale_factor=0.5, mode="bilinear", align_corners=False)
    key = F.pad(branch.conv_match_2(half), (1, 1, 1, 1))[0]
    value = F.pad(branch.conv_assembly(even), (2, 2, 2, 2))[0]
    places = [(u, v) for u in range(high // 2) for v in range(wide // 2)]
    laid = torch.zeros(1, channels, 2 * high + 4, 2 * wide + 4)
    for i in range(high):
        for j in range(wide):
            likeness = []
            for u, v in places:
                patch = key[:, u : u + 3, v : v + 3]
                norm = max(float(patch.pow(2).sum().sqrt()), 1e-4)
                likeness.append(10 * (query[:, i : i + 3, j : j + 3] * patch).sum() / norm)
            for share, (u, v) in zip(torch.stack(likeness).softmax(0), places, strict=True):
                patch = value[:, 2 * u : 2 * u + 6, 2 * v : 2 * v + 6]
                laid[0, :, 2 * i : 2 * i + 6, 2 * j : 2 * j + 6] += share * patch
    return (branch.down(laid[:, :, 2:-2, 2:-2]) / 6)[:, :, :height, :width]


@pytest.mark.parametrize("window", [None, 8])
@pytest.mark.parametrize("size", [(4, 6), (5, 3)])
@torch.no_grad()
def test_the_non_local_branch_is_what_its_formula_says(size, window):
    torch.manual_seed(0)
    branch, features = CrossScaleAttention(4, window), torch.randn(2, 4, *size)
    expected = torch.cat([plain_cross_scale(branch, picture[None]) for picture in features])
    torch.testing.assert_close(branch(features), expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_each_window_is_a_picture_of_its_own():
    torch.manual_seed(0)
    branch, whole, features = (
        CrossScaleAttention(4, 4),
        CrossScaleAttention(4, None),
        inputs((9, 6))[0],
    )
    whole.load_state_dict(branch.state_dict())
    made = branch(features)
    for top, left in ((0, 0), (4, 0), (0, 4), (4, 4)):
        part = whole(features[:, :, top : top + 4, left : left + 4])
        actual = made[:, :, top : top + 4, left : left + 4]
        torch.testing.assert_close(actual, part, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("window", [0, 3])
def test_a_window_must_be_even(window):
    with pytest.raises(ValueError, match="even"):
        CrossScaleAttention(4, window)


def test_the_parameters_are_those_of_the_paper():
    with torch.device("meta"):
        head = CiaoSR()
        counts = [sum(p.numel() for p in part.parameters()) for part in head.children()]
        assert counts == [45_251, 494_144, 526_976, 362_243]
        assert sum(counts) == 1_428_614
        alone = CiaoSR(non_local=False, attention=False)
    assert sum(p.numel() for p in alone.imnet_k.parameters()) == 494_144 - 256 * 575 - 575


def test_memory_is_bounded_whatever_the_output(monkeypatch):
    monkeypatch.setattr(ciaosr, "QUERIES", 64)
    monkeypatch.setattr(cross_scale, "LIKENESSES", 2 * 16 * 4)
    head, (features, image) = head_of(), inputs((9, 8))
    seen, windows = [], []
    head.imnet_q.register_forward_hook(lambda _, given, __: seen.append(given[0].shape[:3].numel()))
    head.cs_attn.down.register_forward_hook(lambda _, given, __: windows.append(len(given[0])))
    with torch.no_grad():
        made = head(features, image, grid_of((9, 8), (40, 16)))
    assert max(seen) <= 64
    assert max(windows) <= 2
    monkeypatch.undo()
    with torch.no_grad():
        at_once = head(features, image, grid_of((9, 8), (40, 16)))
    torch.testing.assert_close(made, at_once, atol=1e-5, rtol=1e-4)


def test_gradients_are_the_same_piece_by_piece():
    weight, items = torch.rand(3, requires_grad=True), (torch.rand(7, 3), torch.rand(7, 3))
    gradients = []
    for size in (7, 2):
        made = in_chunks(lambda a, b: torch.tanh(a * weight) * b, items, size)
        gradients.append(torch.autograd.grad(made.pow(2).sum(), weight)[0])
    torch.testing.assert_close(*gradients)


@torch.no_grad()
def test_without_the_non_local_branch_a_tile_is_what_the_whole_is():
    head, (features, image) = head_of(non_local=False), inputs((30, 6), batch=1)
    whole = head(features, image, grid_of((30, 6), (69, 14)))
    core, window = (12, 18), (12 - head.halo, 18 + head.halo)
    output = tuple(-(-start * 69 // 30) for start in core)
    rows = axis_grid(30, 69, window, (output[0], output[1]))
    grid = grid_tensors(rows, axis_grid(6, 14))
    part = head(features[:, :, slice(*window)], image[:, :, slice(*window)], grid)
    torch.testing.assert_close(part, whole[:, :, slice(*output)], atol=1e-5, rtol=1e-4)
    assert head_of().halo is None


def spec(**switches):
    encoder = {"name": "edsr", "args": {"channels": 4, "blocks": 1}}
    return NetworkSpec(
        "composed",
        {"encoder": encoder, "head": {"name": "ciaosr", "args": {**SMALL, **switches}}},
    )


@torch.no_grad()
def test_the_network_makes_any_size_and_keeps_pictures_apart():
    net = build_network(spec()).eval()
    for scale in (1.0, 2.37, 8.0):
        size = output_size(5, scale), output_size(6, scale)
        images = torch.rand(2, 3, 5, 6)
        together = upscale(net, images, size, 4)
        assert together.shape == (2, 3, *size)
        alone = torch.cat([upscale(net, image[None], size, 4) for image in images])
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("switches", [{}, {"released_quirks": True, "attention": False}], ids=str)
def test_gradients_are_right_in_double_precision(switches):
    torch.manual_seed(0)
    head = CiaoSR(2, hidden=4, window=2, **switches).double()
    features, image = (torch.rand(1, c, 3, 2, dtype=torch.float64) for c in (2, 3))
    grid = grid_of((3, 2), (5, 3), torch.float64)
    assert torch.autograd.gradcheck(
        lambda f: head(f, image, grid), (features.requires_grad_(),), atol=1e-6
    )


def test_training_makes_the_loss_fall(tmp_path, photographs):
    before, after = losses(spec(window=8), photographs, tmp_path, Sampling(batch=2, patch=16))
    assert after < 0.95 * before


def public_state(encoder):
    """Return a public checkpoint of random weights, with the public names and shapes."""
    torch.manual_seed(0)
    head = CiaoSR(4, hidden=8).state_dict()
    shapes = {name: tensor.shape for name, tensor in head.items()}
    if encoder == "edsr":
        shapes |= {"conv_first": (4, 3, 3, 3), "conv_after_body": (4, 4, 3, 3)}
        shapes |= {f"body.{i}.conv{k}": (4, 4, 3, 3) for i in range(2) for k in (1, 2)}
    else:
        shapes |= {"sfe1": (4, 3, 3, 3), "sfe2": (4, 4, 3, 3)}
        shapes |= {f"rdbs.0.layers.{k}.conv": (4, 4 * (k + 1), 3, 3) for k in range(4)}
        shapes |= {"rdbs.0.lff": (4, 20, 1, 1), "gff.0": (4, 4, 1, 1), "gff.1": (4, 4, 3, 3)}
    state = {}
    for name, shape in shapes.items():
        if name in head:
            state[PREFIX + name] = torch.randn(shape)
        else:
            state[f"{PREFIX}{name}.weight"] = torch.randn(shape)
            state[f"{PREFIX}{name}.bias"] = torch.randn(shape[0])
    return {**state, **CONSTANTS}


@pytest.mark.parametrize("encoder", ["edsr", "rdn"])
def test_public_checkpoints_convert_without_loss_both_ways(encoder):
    public = public_state(encoder)
    spec, ours = from_public(public)
    net = build_network(spec)
    net.load_state_dict(ours)
    back = to_public(spec, net.state_dict())
    assert back.keys() == public.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in public.items())


@torch.no_grad()
def test_a_converted_encoder_sees_the_picture_less_its_mean():
    public = public_state("edsr")
    spec, ours = from_public(public)
    net = build_network(spec).eval()
    net.load_state_dict(ours)
    image = torch.rand(1, 3, 6, 7)

    def conv(name, x):
        weight, bias = (public[f"{PREFIX}{name}.{kind}"] for kind in ("weight", "bias"))
        return F.conv2d(x, weight, bias, padding=1)

    start = features = conv("conv_first", image - torch.tensor(MEAN)[:, None, None])
    for i in range(2):
        features = features + conv(f"body.{i}.conv2", F.relu(conv(f"body.{i}.conv1", features)))
    expected = start + conv("conv_after_body", features)
    encoder = net.get_submodule("encoder")
    actual = encoder(image, torch.ones(2), 4)
    torch.testing.assert_close(actual, expected, atol=1e-3, rtol=1e-4)


def test_what_is_no_ciaosr_checkpoint_is_refused():
    public = public_state("edsr")
    with pytest.raises(ConversionError, match="no known layout"):
        from_public({"generator.stem.weight": torch.zeros(1)})
    with pytest.raises(ConversionError, match=r"takes generator\.stem\.weight"):
        from_public({**public, "generator.stem.weight": torch.zeros(1)})
    spec, trained = from_public(public)
    trained["encoder.sub_mean.bias"] = trained["encoder.sub_mean.bias"] + 0.1
    with pytest.raises(ConversionError, match=r"sub_mean\.bias was trained"):
        to_public(spec, trained)

"""EDSR and RDN, plain and with AnySR's blocks: parameters to the digit, and each equation of the
paper written out plainly."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models.architectures.anysr import (
    MEAN,
    ResidualBranch,
    ScaleAttention,
    Slicing,
    interweave,
    scale_pair,
    sliced,
)
from models.architectures.encoders.edsr import EDSR
from models.architectures.encoders.rdn import RDN, DenseBlock
from models.architectures.registry import ENCODERS

PAPER = (0.5, 0.7, 0.9, 1.0)
RELEASED_RDN = (0.7, 0.8, 0.9, 1.0)
TINY: dict[str, Any] = {"widths": [8, 11, 14, 16], "pairs": 4}
INVERSE = torch.tensor([1 / 2.3, 1 / 1.6])


def of(channels, widths):
    return [int(channels * width) for width in widths]


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def encoder(name, **anysr):
    torch.manual_seed(3)
    small = {"channels": 16, "blocks": 2} | ({"layers": 4} if name == "rdn" else {})
    return ENCODERS[name](**small, anysr={**TINY, **anysr}).eval()


@pytest.mark.parametrize(
    ("name", "anysr", "count"),
    [
        ("edsr", None, 1_220_416),
        ("edsr", {"widths": of(64, PAPER)}, 1_502_016),
        ("edsr", {"widths": of(64, PAPER), "released_quirks": True}, 1_502_016 + 12),
        ("edsr", {"widths": of(64, PAPER), "enhancement": "none"}, 1_220_416),
        (
            "edsr",
            {"widths": of(64, PAPER), "enhancement": "concatenation"},
            1_502_016 - 16 * 6 * 128,
        ),
        ("rdn", None, 21_973_952),
        ("rdn", {"widths": of(64, PAPER), "pairs": 8}, 23_094_208),
        ("rdn", {"widths": of(64, RELEASED_RDN), "pairs": 8}, 23_094_208),
    ],
)
def test_parameters_are_the_papers(name, anysr, count):
    with torch.device("meta"):
        assert parameters(ENCODERS[name](anysr=anysr)) == count


@pytest.mark.parametrize(("full", "pairs"), [(64, 4), (128, 8), (16, 2)])
@pytest.mark.parametrize("width", sorted({*PAPER, *RELEASED_RDN, 0.25, 0.55}))
def test_pairs_are_inserted_where_equation_6_says(full, pairs, width):
    count = 2 * int(full // 2 * width)
    woven = interweave(torch.zeros(3, count), torch.tensor([5.0, 7.0]), full // pairs)[1].tolist()
    inserted = int(pairs * width + 1e-9)
    assert len(woven) == count + 2 * inserted
    for i in range(1, inserted + 1):
        first = full * i // pairs + 2 * i - 1  # counted from 1
        assert (woven[first - 1], woven[first]) == (5.0, 7.0)
    assert sum(value != 0 for value in woven) == 2 * inserted


def test_channels_keep_their_order_around_the_pairs():
    woven = interweave(torch.arange(1.0, 45.0)[None], torch.tensor([-1.0, -2.0]), 16)[0]
    assert woven[woven > 0].tolist() == list(range(1, 45))


@pytest.mark.parametrize("width", PAPER)
def test_scale_attention_sees_as_many_inputs_as_the_released_weights(width):
    """36, 48, 63 and 72 for EDSR; 98, 114, 128 and 144 for RDN's four widths."""
    edsr = interweave(torch.zeros(1, int(64 * width)), torch.ones(2), 16).shape[1]
    assert edsr == {0.5: 36, 0.7: 48, 0.9: 63, 1.0: 72}[width]
    if width != 0.5:
        rdn = interweave(torch.zeros(1, 2 * int(64 * width)), torch.ones(2), 16).shape[1]
        assert rdn == {0.7: 98, 0.9: 128, 1.0: 144}[width]


@pytest.mark.parametrize("enhancement", ["interweaving", "concatenation"])
@pytest.mark.parametrize("count", [8, 11, 16])
def test_scale_attention_is_equation_5_or_7(enhancement, count):
    attention = ScaleAttention(16, Slicing([16], 4, enhancement))
    features = torch.randn(2, count, 5, 6)
    made = attention(features, INVERSE)
    for number, picture in enumerate(features):
        means = [float(channel.mean()) for channel in picture]
        pair = [2.3, 1.6]
        if enhancement == "concatenation":
            woven = means + pair
        else:
            woven = []
            for i in range(0, count, 4):
                woven += means[i : i + 4] + (pair if i + 4 <= count else [])
        inside = torch.tensor(woven)
        hidden = F.relu(attention.fc1.weight[:, : len(woven)] @ inside + attention.fc1.bias)
        gate = torch.sigmoid(attention.fc2.weight[:count] @ hidden + attention.fc2.bias[:count])
        expected = picture * gate[:, None, None]
        torch.testing.assert_close(made[number], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("scales", "pair"),
    [
        ((2.0, 2.0), (2.0, 2.0)),
        ((2.3, 1.6), (-2.3, -1.6)),  # 23 tenths: odd
        ((1.1, 1.1), (-1.1, -1.1)),
        ((3.9, 4.0), (3.9, 4.0)),
        ((2.2917, 2.2917), (-2.3, -2.3)),  # 110 of 48 pixels: rounded as in training
        # Asked for x2.34, which is 23 tenths, 7 pixels become 16 and 5 pixels 12: 24 tenths.
        ((16 / 7, 16 / 7), (-2.3, -2.3)),
        ((12 / 5, 12 / 5), (2.4, 2.4)),
    ],
)
def test_released_pairs_are_tenths_with_a_sign(scales, pair):
    inverse = 1 / torch.tensor(scales)
    torch.testing.assert_close(scale_pair(inverse, True), torch.tensor(pair))
    torch.testing.assert_close(scale_pair(inverse, False), torch.tensor(scales))


def test_slices_are_views_of_the_weights(monkeypatch):
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def convolve(x, weight, bias, padding):
        assert padding == 1
        seen.append((weight, bias))
        return x

    monkeypatch.setattr(F, "conv2d", convolve)
    conv = nn.Conv2d(8, 6, 3)
    sliced(conv, torch.zeros(1, 5, 3, 3), 4)
    weight, bias = seen[0]
    assert weight.shape == (4, 5, 3, 3)
    assert weight.data_ptr() == conv.weight.data_ptr()
    assert bias.data_ptr() == conv.get_parameter("bias").data_ptr()


def test_an_edsr_block_is_two_cut_convolutions_around_a_gate():
    """Eq. 4: the first convolution makes its first k channels, the second sees them."""
    branch: Any = ResidualBranch(16, Slicing(**TINY))
    x = torch.randn(2, 16, 5, 6)
    inner = F.conv2d(x, branch.conv1.weight, branch.conv1.bias, padding=1)[:, :11]
    gated = F.relu(branch.attention(inner, INVERSE))
    padded = torch.cat((gated, torch.zeros(2, 5, 5, 6)), 1)
    expected = F.conv2d(padded, branch.conv2.weight, branch.conv2.bias, padding=1)
    torch.testing.assert_close(branch(x, INVERSE, 11), expected, atol=1e-5, rtol=1e-4)


def test_edsr_is_its_blocks_between_two_convolutions():
    net, image = encoder("edsr", released_quirks=True), torch.rand(2, 3, 5, 6)
    entry = net.entry(2 * image - 1 - torch.tensor(MEAN)[:, None, None])
    x = entry
    for block in net.blocks:
        x = x + block(x, INVERSE, 11)
    torch.testing.assert_close(net(image, INVERSE, 11), entry + net.end(x))


@pytest.mark.parametrize("width", [8, 11, 16])
def test_a_dense_block_cuts_two_layers_and_gates_the_end(width):
    """With four layers: 0 and 2 are cut, 1 and 3 are not; the gate has the last 2 k channels."""
    block: Any = DenseBlock(16, 4, Slicing(**{**TINY, "pairs": 8}))
    x = torch.randn(2, 16, 5, 6)

    def made(layer, known, count):
        weight = block.layers[layer].weight[:count, : known.shape[1]]
        return F.relu(F.conv2d(known, weight, block.layers[layer].bias[:count], padding=1))

    k0 = made(0, x, width)
    k1 = made(1, torch.cat((x, k0), 1), 16)
    k2 = made(2, torch.cat((x, k0, k1), 1), width)
    k3 = made(3, torch.cat((x, k0, k1, k2), 1), 16)
    dense = torch.cat((x, k0, k1, k2, k3), 1)
    assert dense.shape[1] == 48 + 2 * width
    gated = torch.cat((dense[:, :48], block.attention(dense[:, 48:], INVERSE)), 1)
    fused = F.conv2d(gated, block.fuse.weight[:, : gated.shape[1]], block.fuse.bias)
    torch.testing.assert_close(block(x, INVERSE, width), x + fused, atol=1e-5, rtol=1e-4)


def test_rdn_fuses_what_every_block_made():
    net, image = encoder("rdn", pairs=8), torch.rand(1, 3, 5, 6)
    entry = net.entry1(2 * image - 1)
    first = net.blocks[0](net.entry2(entry), INVERSE, 11)
    second = net.blocks[1](first, INVERSE, 11)
    fused = net.fuse2(net.fuse1(torch.cat((first, second), 1)))
    torch.testing.assert_close(net(image, INVERSE, 11), entry + fused)


@pytest.mark.parametrize("name", ["edsr", "rdn"])
@pytest.mark.parametrize("enhancement", ["interweaving", "concatenation", "none"])
def test_every_width_depends_on_the_scale_only_by_the_enhancement(name, enhancement):
    net, image = encoder(name, enhancement=enhancement), torch.rand(1, 3, 5, 6)
    for width in net.widths:
        same = torch.equal(net(image, INVERSE, width), net(image, INVERSE / 2, width))
        assert same == (enhancement == "none")
    assert (net.halo is None) == (enhancement != "none")


@pytest.mark.parametrize(("kind", "args"), [(EDSR, {}), (RDN, {"layers": 4})])
def test_a_plain_encoder_reaches_as_far_as_its_halo(kind, args):
    torch.manual_seed(5)
    net = kind(8, 2, **args).eval()
    side = 2 * net.halo + 3
    image = torch.rand(1, 3, side, side)
    other = image.clone()
    other[:, :, side // 2, side // 2] += 1
    with torch.no_grad():
        moved = (net(image, INVERSE, 8) - net(other, INVERSE, 8)).abs().amax((0, 1)) > 0
    where = moved.nonzero() - side // 2
    assert where.abs().max() == net.halo


@pytest.mark.parametrize("name", ["edsr", "rdn"])
def test_pictures_of_a_batch_do_not_affect_each_other(name):
    net, images = encoder(name), torch.rand(3, 3, 5, 6)
    alone = torch.cat([net(image[None], INVERSE, 11) for image in images])
    torch.testing.assert_close(net(images, INVERSE, 11), alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["edsr", "rdn"])
def test_gradients_are_what_differences_say(name):
    torch.manual_seed(3)
    small = {"channels": 4, "blocks": 1} | ({"layers": 4} if name == "rdn" else {})
    net = ENCODERS[name](**small, anysr={"widths": [3, 4], "pairs": 2}).double()
    image = torch.rand(1, 3, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: net(x, INVERSE.double(), 3), (image,), atol=1e-6)


@pytest.mark.parametrize(
    ("anysr", "said"),
    [
        ({"widths": [8, 12]}, "rise to 16"),
        ({"widths": [16], "pairs": 3}, "do not divide"),
        ({"widths": [16], "enhancement": "mixing"}, "mixing"),
    ],
)
def test_what_cannot_be_cut_is_refused(anysr, said):
    with pytest.raises(ValueError, match=said):
        EDSR(16, 1, anysr=anysr)

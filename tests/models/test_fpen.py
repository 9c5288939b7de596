"""FPEN: its blocks and its attention against the paper's equations, and their cost."""

import weakref

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from models.architectures.anysr import slicing_of
from models.architectures.encoders.fpen import FPEN, HighFrequencyBlock, high_frequencies
from models.architectures.heads.pica import PixelContinuityAttention
from models.architectures.registry import build_network
from models.export import check, onnx_runner, write_onnx
from models.geometry import output_size
from models.network_file import save_network
from models.spec import NetworkSpec
from models.training.config import Sampling
from models.training.forward import upscale
from tests.models.falling_loss import losses

ENCODER = {"features": 4, "blocks": 1, "passes": 2, "reduction": 2}


def shaken(module, by=0.2):
    """Return a module with no parameter at its initial value."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(by * torch.randn_like(parameter))
    return module.eval()


def spec(head, window=6, encoder=None):
    return NetworkSpec(
        "composed",
        {
            "encoder": encoder or {"name": "fpen", "args": ENCODER},
            "head": {"name": "pica", "args": {"inner": 3, "window": window, "head": head}},
        },
    )


LIIF = {"name": "liif", "args": {"hidden": 8}}


def test_the_parameters_are_those_of_its_parts():
    with torch.device("meta"):
        net = build_network(
            NetworkSpec(
                "composed",
                {
                    "encoder": {"name": "fpen"},
                    "head": {"name": "pica", "args": {"head": {"name": "liif"}}},
                },
            )
        )
    conv, learnable = 64 * 64 * 9 + 64, 2 * (2 * (64 * 64 * 9 + 64) + 2)
    feature_block = learnable + (128 * 128 + 128) + (128 * 64 * 9 + 64) + 4
    attention = (64 * 4 + 4) + (4 * 64 + 64)
    block = 2 * conv + 4 * feature_block + (128 * 64 + 64) + attention
    pica = 3 * (64 * 32 + 32) + 2 + (32 * 64 + 64)
    counts = {n: sum(p.numel() for p in m.parameters()) for n, m in net.named_children()}
    assert counts == {"encoder": 64 * 27 + 64 + 3 * block, "head": pica + 346_883}
    assert counts == {"encoder": 3_106_156, "head": 355_237}


@pytest.mark.parametrize("size", [(6, 8), (7, 5)])
def test_high_frequencies_are_what_the_local_mean_leaves(size):
    """Eq. 9, with the bicubic kernel (a = -0.75) written out; a last odd line counts double."""
    x = torch.rand(1, 2, *size)
    means = F.pad(x, (0, size[1] % 2, 0, size[0] % 2), mode="replicate")
    means = means.unflatten(2, (-1, 2)).unflatten(4, (-1, 2)).mean((3, 5))

    def weight(distance):
        d, a = abs(distance), -0.75
        if d <= 1:
            return (a + 2) * d**3 - (a + 3) * d**2 + 1
        return a * (d**3 - 5 * d**2 + 8 * d - 4) if d < 2 else 0.0

    def matrix(fine, coarse):
        rows = torch.zeros(fine, coarse)
        for i in range(fine):
            place = (i + 0.5) / 2 - 0.5
            for j in range(int(place // 1) - 1, int(place // 1) + 3):
                rows[i, min(max(j, 0), coarse - 1)] += weight(place - j)
        return rows

    down, across = matrix(size[0], means.shape[2]), matrix(size[1], means.shape[3])
    expected = x - torch.einsum("yi,xj,bcij->bcyx", down, across, means)
    torch.testing.assert_close(high_frequencies(x), expected, atol=1e-5, rtol=0)
    flat = torch.full((1, 1, *size), 0.3)
    torch.testing.assert_close(high_frequencies(flat), torch.zeros_like(flat), atol=1e-6, rtol=0)


@torch.no_grad()
def test_a_block_is_what_its_equations_say():
    """Eq. 7 and 8, and Figure 3's blocks, in plain calls."""
    plain = slicing_of(None, 4)
    block, x = shaken(HighFrequencyBlock(4, 3, 2, plain)), torch.randn(2, 4, 6, 8)

    def residual(part, x):
        return part.conv2(F.relu(part.conv1(x)))

    def learnable(part, x):
        outputs, inner = [], x
        for unit in (part.first, part.second):
            inner = unit.weights[0] * inner + unit.weights[1] * residual(unit, inner)
            outputs.append(inner)
        both = torch.cat([w * o for w, o in zip(part.weights, outputs, strict=False)], 1)
        return part.weights[2] * x + part.weights[3] * part.extract(part.fuse(both))

    start = x + residual(block.basic, x)
    high = high_frequencies(learnable(block.enter, start))
    small = F.avg_pool2d(high, 2)
    for _ in range(3):
        small = learnable(block.lower, small)
    raised = F.interpolate(small, size=(6, 8), mode="bicubic", align_corners=False)
    mixed = block.reduce(torch.cat((learnable(block.upper, high), raised), 1))
    attention = block.attention
    gate = torch.sigmoid(attention.excite(F.relu(attention.squeeze(mixed.mean((2, 3), True)))))
    expected = start + learnable(block.leave, gate * mixed)
    torch.testing.assert_close(block(x, torch.ones(2), 4), expected, atol=1e-5, rtol=1e-4)


SLICED = {"widths": [2, 4], "pairs": 2}


def test_slicing_adds_scale_attention_to_every_residual_block():
    """Nine blocks of two convolutions in each HFPB: BRFB, and four LRFBs of two LRBs."""
    with torch.device("meta"):
        plain, sliced = FPEN(), FPEN(anysr={"widths": [32, 44, 57, 64], "pairs": 4})
    attention = ((64 + 8) * 128 + 128) + (128 * 64 + 64)
    counts = [sum(p.numel() for p in net.parameters()) for net in (plain, sliced)]
    assert counts[1] - counts[0] == 3 * (1 + 4 * 2) * attention
    assert sliced.widths == (32, 44, 57, 64)


@torch.no_grad()
def test_a_narrow_width_is_what_the_first_channels_of_each_block_make():
    """Zero what the width leaves out of every first convolution, in the full network: the same."""
    net = shaken(FPEN(**ENCODER, anysr={**SLICED, "enhancement": "none"}))
    image, inverse = torch.rand(1, 3, 6, 8), torch.tensor([0.5, 0.5])
    narrow = net(image, inverse, 2)
    assert not torch.allclose(narrow, net(image, inverse, 4))
    for name, parameter in net.named_parameters():
        if ".conv1." in name:
            parameter[2:] = 0
    torch.testing.assert_close(net(image, inverse, 4), narrow)


def test_every_width_learns_and_depends_on_the_scale():
    net = FPEN(**ENCODER, anysr=SLICED)
    shaken(net)
    image = torch.rand(1, 3, 6, 8)
    for width in net.widths:
        one, other = (net(image, torch.tensor([s, s]), width) for s in (0.5, 0.25))
        assert not torch.allclose(one, other)
    net(image, torch.tensor([0.5, 0.5]), 4).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in net.parameters())


def plain_pica(attention, features):
    """Eq. 10 to 12 for one picture [C, H, W], as a sequence of pixels."""
    channels, height, width = features.shape
    pixels = features.reshape(channels, -1).T  # A [P, C]

    def embed(conv):
        return pixels @ conv.weight[:, :, 0, 0].T + conv.bias

    own = torch.softmax(pixels @ pixels.T, 1)
    embedded = torch.softmax(embed(attention.theta) @ embed(attention.phi).T, 1)
    rho = attention.rho.weight.flatten()
    share = torch.softmax(rho[0] * own + rho[1] * embedded, 1)
    gathered = share @ embed(attention.g)
    restored = gathered @ attention.restore.weight[:, :, 0, 0].T + attention.restore.bias
    return (pixels + restored).T.reshape(channels, height, width)


@pytest.mark.parametrize("window", [None, 7])
@torch.no_grad()
def test_pica_is_what_its_equations_say(window):
    attention, features = shaken(PixelContinuityAttention(4, 3, window)), torch.randn(2, 4, 5, 7)
    expected = torch.stack([plain_pica(attention, picture) for picture in features])
    torch.testing.assert_close(attention(features), expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_each_window_of_pica_attends_to_itself():
    attention, features = shaken(PixelContinuityAttention(4, 3, 4)), torch.randn(1, 4, 9, 6)
    made = attention(features)
    for top in (0, 4, 8):
        for left in (0, 4):
            here = slice(top, top + 4), slice(left, left + 4)
            expected = plain_pica(attention, features[0][:, here[0], here[1]])
            actual = made[0][:, here[0], here[1]]
            torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-4)


def test_pica_starts_as_the_identity_and_refuses_an_empty_window():
    features = torch.randn(1, 4, 5, 6)
    assert torch.equal(PixelContinuityAttention(4)(features), features)
    with pytest.raises(ValueError, match="window"):
        PixelContinuityAttention(4, window=0)


class Live(TorchDispatchMode):
    """Tracks the peak of bytes of live tensors that are created inside the block."""

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self.known: weakref.WeakSet[torch.Tensor] = weakref.WeakSet()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor.untyped_storage())
        return result

    def _count(self, storage):
        if storage not in self.known:
            self.known.add(storage)
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._free, storage.nbytes())

    def _free(self, size):
        self.now -= size


@torch.no_grad()
def test_features_of_a_photograph_fit_in_two_gigabytes():
    """340 x 510 pixels through the whole encoder and PiCA, counted without computing them."""
    with torch.device("meta"):
        encoder, attention = FPEN(), PixelContinuityAttention(64)
        image = torch.empty(1, 3, 340, 510)
        with Live() as live:
            made = attention(encoder(image, torch.empty(2), 64))
    assert made.shape == (1, 64, 340, 510)
    assert 64 * 4 * 340 * 510 < live.peak < 1e9


@torch.no_grad()
def test_the_network_makes_any_size_and_keeps_pictures_apart():
    net = shaken(build_network(spec(LIIF)))
    for scale in (1.0, 2.37, 8.0):
        size = output_size(5, scale), output_size(6, scale)
        images = torch.rand(2, 3, 5, 6)
        together = upscale(net, images, size, 4)
        assert together.shape == (2, 3, *size)
        alone = torch.cat([upscale(net, image[None], size, 4) for image in images])
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    assert net.halo is None


@torch.no_grad()
@pytest.mark.parametrize("name", ["tensor_product", "metasr", "liif", "arbsr", "ciaosr"])
def test_pica_goes_before_any_head(name):
    """The ablation LIIF + PiCA among them, on EDSR as in the paper's Table 3."""
    args = {"basis": 3} if name == "tensor_product" else {}
    encoder = {"name": "edsr", "args": {"channels": 8, "blocks": 1}}
    net = shaken(build_network(spec({"name": name, "args": args}, encoder=encoder)))
    image = torch.rand(1, 3, 5, 6)
    made = upscale(net, image, (9, 14), 8)
    net.head.attention.restore.weight.zero_()
    net.head.attention.restore.bias.zero_()
    without = upscale(net, image, (9, 14), 8)
    assert made.shape == (1, 3, 9, 14)
    assert not torch.allclose(made, without)


def test_gradients_are_right_in_double_precision():
    encoder = shaken(FPEN(2, blocks=1, passes=2, reduction=1)).double()
    attention = shaken(PixelContinuityAttention(2, 2, 3)).double()
    image = torch.rand(1, 3, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x: attention(encoder(x, torch.ones(2), 2)), (image,), atol=1e-6
    )


def test_training_makes_the_loss_fall(tmp_path, photographs):
    before, after = losses(
        spec(LIIF, window=16), photographs, tmp_path, Sampling(batch=2, patch=16)
    )
    assert after < 0.9 * before


def test_an_exported_graph_is_the_network(tmp_path):
    """One graph of all that loops: PiCA's windows, CiaoSR's windows, and its rows."""
    head = {"name": "ciaosr", "args": {"hidden": 4, "window": 8}}
    encoder = {"name": "fpen", "args": {**ENCODER, "passes": 1}}
    looped = spec(head, encoder=encoder)
    net = shaken(build_network(looped), 0.05)  # more makes features that float32 cannot compare
    weights, path = tmp_path / "w.safetensors", tmp_path / "graph.onnx"
    save_network(weights, looped, net)
    write_onnx(net, 4, weights, path)
    sizes = [(1, 1, 3.0, 3.0), (24, 31, 2.0, 2.0), (9, 13, 1.1, 3.9)]
    assert check(net, 4, onnx_runner(path), sizes) < 1e-4
    assert b".py" not in path.read_bytes()  # no trace of where it was made, in loops neither

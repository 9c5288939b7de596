"""DeFiAN's public checkpoints: every tensor converts, both ways and without loss."""

import itertools

import pytest
import torch

from models.architectures.registry import build_network
from models.convert import ConversionError, from_public, to_public

MODULES, BLOCKS, CHANNELS = 3, 12, 16


def conv(name, out, inner, side, bias=True):
    tensors = {f"{name}.weight": torch.randn(out, inner, side, side)}
    return {**tensors, f"{name}.bias": torch.randn(out)} if bias else tensors


def public_block(name):
    return {
        **conv(f"{name}.block.0", CHANNELS, CHANNELS, 3, bias=False),
        **conv(f"{name}.block.2", CHANNELS, CHANNELS, 3, bias=False),
        **conv(f"{name}.calayer.0", 1, CHANNELS, 1),
        **conv(f"{name}.calayer.2", CHANNELS, 1, 1),
    }


def public_coder(name):
    state = conv(f"{name}.gate", 1, 3, 1)
    for place, (narrow, wide) in {0: (3, 6), 2: (6, 12), 4: (12, 24)}.items():
        state |= conv(f"{name}.encoder.{place}", wide, narrow, 3)
        # A transposed convolution's weight has its inputs first, and the decoder's last is 6 to 3.
        state |= conv(f"{name}.decoder.{4 - place}", wide, narrow, 3)
        state[f"{name}.decoder.{4 - place}.bias"] = torch.randn(narrow)
    return state


def public_module(name):
    state = public_coder(f"{name}.coder.0")
    for m in range(BLOCKS):
        state |= public_block(f"{name}.body_block.{m}")
    for moment in ("mean", "std"):
        state |= conv(f"{name}.dac.0.{moment}.0", 1, CHANNELS, 1, bias=False)
        state |= conv(f"{name}.dac.0.{moment}.2", CHANNELS, 1, 1, bias=False)
    for kernel, axes in itertools.product((3, 5, 7), ("xx", "yy", "xy")):
        state |= conv(f"{name}.hessian{kernel}.0.grad_{axes}", CHANNELS, 1, 3)
    return state


def public_state(scale):
    """A state dict with the names and shapes of the public code, written out from its layout."""
    state = conv("input", CHANNELS, 3, 3)
    for n in range(MODULES):
        state |= public_module(f"body.{n}")
    state |= conv("tail", CHANNELS, CHANNELS, 3)
    for place, times in {2: ((0, 4),), 3: ((0, 9),), 4: ((0, 4), (2, 4))}[scale]:
        state |= conv(f"upscale.0.{place}", CHANNELS * times, CHANNELS, 3, bias=False)
    return state | conv("output", 3, CHANNELS, 3)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_public_state_dict_fills_the_network_and_comes_back(scale):
    torch.manual_seed(0)
    public = public_state(scale)
    spec, ours = from_public(public)
    assert spec.name == "defian"
    assert spec.args == {
        "scale": scale,
        "channels": CHANNELS,
        "modules": MODULES,
        "blocks": BLOCKS,
        "released_quirks": True,
    }
    network = build_network(spec)
    network.load_state_dict(ours, strict=True)
    returned = to_public(spec, network.state_dict())
    assert returned.keys() == public.keys()
    assert all(torch.equal(returned[name], public[name]) for name in public)


def test_converted_tensors_keep_their_roles():
    """Compare one tensor of each kind, identified by its role in the public code."""
    public = public_state(4)
    _, ours = from_public(public)
    for name, theirs in {
        "stages.2.blocks.11.conv2.weight": "body.2.body_block.11.block.2.weight",
        "stages.1.blocks.10.gate.fc1.bias": "body.1.body_block.10.calayer.0.bias",
        "stages.0.hessian.1.vertical.bias": "body.0.hessian5.0.grad_yy.bias",
        "stages.0.hessian.2.mixed.weight": "body.0.hessian7.0.grad_xy.weight",
        "stages.0.coder.decoder.1.weight": "body.0.coder.0.decoder.2.weight",
        "stages.0.alignment.deviation.fc2.weight": "body.0.dac.0.std.2.weight",
        "upscaler.1.weight": "upscale.0.2.weight",
        "exit.bias": "output.bias",
    }.items():
        assert torch.equal(ours[name], public[theirs])


def test_an_unexpected_tensor_name_is_refused():
    with pytest.raises(ConversionError, match=r"nothing in defian takes body\.0\.norm\.weight"):
        from_public({**public_state(2), "body.0.norm.weight": torch.zeros(1)})
    missing = public_state(2)
    del missing["tail.weight"]
    with pytest.raises(ConversionError, match=r"tail\.weight must be"):
        from_public(missing)

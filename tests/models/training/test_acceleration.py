"""The trunk in other precisions and compiled: the same function, within the precision."""

import functools

import pytest
import torch

from models.architectures.conditioned import Conditioned
from models.training.acceleration import Trunk, denormals_flushed, resolve_precision
from models.training.forward import upscale

CPU = torch.device("cpu")


@pytest.fixture
def network():
    torch.manual_seed(1)
    network = Conditioned(channels=8, blocks=1, basis=3, widths=[4, 8])
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network


@pytest.fixture
def image():
    return torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def gradients(network, image, channels, trunk=None):
    network.zero_grad()
    output = upscale(network, image, (37, 40), channels, trunk)
    output.square().mean().backward()
    return output.detach().clone(), [
        p.grad.clone() for p in network.parameters() if p.grad is not None
    ]


def test_auto_is_bfloat16_on_cuda_and_float32_elsewhere():
    assert resolve_precision("auto", torch.device("cuda")) == torch.bfloat16
    assert resolve_precision("auto", CPU) == torch.float32
    assert resolve_precision("bfloat16", CPU) == torch.bfloat16
    assert resolve_precision("float32", torch.device("cuda")) == torch.float32


def test_denormals_are_flushed_within_bounds_alone():
    tiny = torch.full((4,), 1e-30) * 1e-10
    assert float(tiny[0]) > 0
    with denormals_flushed(CPU):
        assert float((torch.full((4,), 1e-30) * 1e-10)[0]) == 0
    assert float((torch.full((4,), 1e-30) * 1e-10)[0]) > 0


@pytest.mark.parametrize("channels", [4, 8])
def test_float32_uncompiled_is_the_network_itself_to_the_bit(network, image, channels):
    expected = gradients(network, image, channels)
    actual = gradients(network, image, channels, Trunk(network, torch.float32))
    assert torch.equal(actual[0], expected[0])
    assert all(torch.equal(a, b) for a, b in zip(actual[1], expected[1], strict=True))


def test_bfloat16_is_in_the_trunk_only(network, image):
    trunk = Trunk(network, torch.bfloat16)
    features = trunk(image, torch.tensor([0.5, 0.5, 0.0]), 8)
    assert features.dtype == torch.float32
    assert torch.equal(features, features.bfloat16().float())  # they were rounded
    expected, grads = gradients(network, image, 8)
    actual, rounded = gradients(network, image, 8, trunk)
    assert not torch.equal(actual, expected)
    torch.testing.assert_close(actual, expected, atol=0.02, rtol=0)
    for a, b in zip(rounded, grads, strict=True):
        torch.testing.assert_close(a, b, atol=float(0.05 * b.abs().max() + 1e-4), rtol=0)


def test_the_image_itself_passes_in_float32(network, image):
    """With features of zero the output is the skip's: no bit of the image is lost."""
    with torch.no_grad():
        network.head.coefficients.weight.zero_()
    expected, _ = gradients(network, image, 8)
    actual, _ = gradients(network, image, 8, Trunk(network, torch.bfloat16))
    assert torch.equal(actual, expected)


def test_the_compiler_makes_one_program_per_width_and_none_per_scale(network, image, monkeypatch):
    from torch._dynamo.testing import CompileCounter

    counter = CompileCounter()  # a backend that compiles nothing, so that the test is quick
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=counter))
    trunk = Trunk(network, torch.float32, compiled=True)
    for size in ((20, 20), (37, 41), (64, 64)):
        for channels in (4, 8):
            output = upscale(network, image, size, channels, trunk)
            torch.testing.assert_close(output, upscale(network, image, size, channels))
    assert counter.frame_count == 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_on_cuda_a_program_gives_the_same_gradients(network, image, compiled, dtype):
    network, image = network.cuda(), image.cuda()
    network.to(memory_format=torch.channels_last)
    image = image.contiguous(memory_format=torch.channels_last)
    trunk = Trunk(network, dtype, compiled)
    with torch.no_grad():  # a teacher's pass may be the first
        upscale(network, image, (37, 40), 8, trunk)
    for channels in (8, 4, 8):
        expected, grads = gradients(network, image, channels)
        actual, own = gradients(network, image, channels, trunk)
        torch.testing.assert_close(actual, expected, atol=0.02, rtol=0)
        for a, b in zip(own, grads, strict=True):
            torch.testing.assert_close(a, b, atol=float(0.05 * b.abs().max() + 1e-4), rtol=0)

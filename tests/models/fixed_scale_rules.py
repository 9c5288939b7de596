"""Rules that every fixed-scale network keeps, checked on a small instance."""

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from models.architectures.fixed_scale import FixedScale
from models.architectures.network import Grid, grid_tensors
from models.architectures.registry import build_network
from models.export import TOLERANCE, check, onnx_runner, write_onnx
from models.geometry import axis_grid, output_size
from models.network_file import save_network
from models.spec import NetworkSpec
from models.training.forward import upscale


def stirred(module):
    """Return a module with every learned parameter moved away from its initial value."""
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    return module.eval()


def built(spec):
    """Return a spec's network, the same each time, with no parameter at its initial value."""
    torch.manual_seed(0)
    return stirred(build_network(spec))


def count(name, args):
    """Return the number of parameters of a network that is too large to be built."""
    with torch.device("meta"):
        return sum(p.numel() for p in build_network(NetworkSpec(name, args)).parameters())


def multiply_accumulates(name, args, height, width):
    """Return the cost of convolutions and matrix products for one picture, without the resize."""
    with torch.device("meta"):
        network, image = build_network(NetworkSpec(name, args)), torch.empty(1, 3, height, width)
    assert isinstance(network, FixedScale)
    with FlopCounterMode(display=False) as counter:
        network.enlarge(image)
    return counter.get_total_flops() / 2


def enlarged(network, image, size):
    """Return the picture at a size, at the only width."""
    return upscale(network, image, size, network.channels)


def assert_sizes(network):
    """Check the requested size at any real scale up to the network's, for each axis separately."""
    for scales in ((1.0, 1.0), (1.37, 1.9), (network.max_scale, 1.1), 2 * (network.max_scale,)):
        size = (output_size(7, scales[0]), output_size(10, scales[1]))
        output = enlarged(network, torch.rand(2, 3, 7, 10), size)
        assert output.shape == (2, 3, *size)


def assert_pictures_are_apart(network):
    batch, size = torch.rand(3, 3, 9, 8), (15, 16)
    together = enlarged(network, batch, size)
    apart = [enlarged(network, image[None], size) for image in batch]
    torch.testing.assert_close(together, torch.cat(apart), atol=1e-5, rtol=1e-5)


def assert_gradients(network):
    """Check the gradients of the picture and of the parameters, in double precision."""
    network = network.double()
    grid = grid_tensors(axis_grid(3, 5), axis_grid(4, 8))
    doubles = Grid(*(t.double() if t.is_floating_point() else t for t in grid))
    image = torch.rand(1, 3, 3, 4, dtype=torch.float64, requires_grad=True)

    def run(picture, *_):
        return network(picture, doubles, network.channels)

    assert torch.autograd.gradcheck(run, (image,), atol=1e-6)
    learned = [p for p in network.parameters() if p.requires_grad]
    assert torch.autograd.gradcheck(run, (image.detach(), *learned), atol=1e-6, fast_mode=True)


def training_losses(network, steps=50):
    """Return the losses before and after some steps on pictures of coloured blocks, at its own
    scale."""
    generator = torch.Generator().manual_seed(0)
    blocks = torch.rand(8, 3, 6, 6, generator=generator)
    target = F.interpolate(blocks, size=2 * [16 * network.scale], mode="bicubic").clamp(0, 1)
    small = F.interpolate(target, size=(16, 16), mode="bicubic", antialias=True)
    learned = [p for p in network.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(learned, lr=2e-3)
    losses = []
    for _ in range(steps + 1):
        optimiser.zero_grad()
        loss = F.l1_loss(enlarged(network, small, target.shape[2:]), target)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    return losses[0], losses[-1]


def assert_onnx_computes_the_same(spec, folder):
    network = built(spec)
    weights = folder / "weights.safetensors"
    save_network(weights, spec, network)
    write_onnx(network, network.channels, weights, folder / "network.onnx")
    run, s = onnx_runner(folder / "network.onnx"), network.max_scale
    sizes = [(1, 1, s, s), (2, 30, 1.0, s), (17, 12, 1.37, 1.9), (24, 9, s, s)]
    assert check(network, network.channels, run, sizes) <= TOLERANCE

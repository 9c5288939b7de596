"""Dead channels are found, and start anew without a change of the output."""

import pytest
import torch

from models.architectures.conditioned import Conditioned
from models.training.dead_channels import count_dead, find_dead, revive
from models.training.forward import upscale

WIDTHS = [4, 8]


@pytest.fixture
def network():
    torch.manual_seed(3)
    network = Conditioned(channels=8, blocks=2, basis=3, widths=WIDTHS, convolutions=4)
    with torch.no_grad():  # trained enough for every part to matter
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        for name, parameter in network.blocks.named_parameters():
            if name.endswith("bias"):
                parameter.add_(0.5)  # nothing is dead
    return network


@pytest.fixture
def images():
    return torch.rand(2, 3, 12, 16, generator=torch.Generator().manual_seed(4))


def kill(network, block, place, *channels):
    with torch.no_grad():
        for channel in channels:
            network.blocks[block].convolutions[place].bias[channel] = -100.0


def test_a_network_without_dead_channels_stays_as_it_is(network, images):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert revive(network, images) == 0
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_dead_ones_are_found(network, images):
    kill(network, 0, 1, 2, 7)
    kill(network, 1, 0, 5)
    found = [dead.nonzero().flatten().tolist() for dead in find_dead(network, images)]
    assert found == [[], [2, 7], [], [5], [], []]
    assert count_dead(network, images) == 3


def test_a_channel_that_a_narrow_width_uses_is_alive(network, images):
    """What silences channel 1 at the full width comes from a channel that the narrow one lacks."""
    first, second = network.blocks[0].convolutions[:2]
    with torch.no_grad():
        first.weight[6], first.bias[6] = 0.0, 1.0
        second.weight[1, 6] = -100.0
    assert not find_dead(network, images)[1][1]
    assert find_dead(at_full_width(network), images)[1][1]


def at_full_width(network):
    """The same weights with the full width alone."""
    alone = Conditioned(channels=8, blocks=2, basis=3, widths=[8], convolutions=4)
    alone.load_state_dict(network.state_dict())
    return alone


@pytest.mark.parametrize("width", WIDTHS)
def test_the_output_stays_and_the_new_ones_live(network, images, width):
    kill(network, 0, 0, 1, 6)
    kill(network, 0, 1, *range(8))  # a whole layer, whose block is then a constant
    kill(network, 1, 2, 3)
    before = upscale(network, images, (30, 35), width, strength=0.5)
    assert revive(network, images) == 11
    after = upscale(network, images, (30, 35), width, strength=0.5)
    torch.testing.assert_close(after, before, atol=1e-5, rtol=0)
    assert count_dead(network, images) == 0


def test_the_new_ones_learn(network, images):
    kill(network, 0, 1, 2, 7)
    revive(network, images)
    before = network.blocks[0].convolutions[1].weight[[2, 7]].clone()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    target = torch.rand(2, 3, 30, 35)
    for _ in range(3):
        optimiser.zero_grad()
        (upscale(network, images, (30, 35), 8) - target).abs().mean().backward()
        optimiser.step()
    moved = (network.blocks[0].convolutions[1].weight[[2, 7]] != before).flatten(1).any(1)
    assert moved.all()


def test_the_condition_no_longer_adds_to_a_channel_that_starts_anew(network, images):
    with torch.no_grad():
        bias = network.condition.fc2.bias.view(2, 8)
        bias[1, 5] = -100.0
    revive(network, images)
    assert network.condition.fc2.bias.view(2, 8)[1, 5] == 0
    assert count_dead(network, images) == 0


def test_channels_that_are_seldom_above_zero_are_counted_if_asked_for(network, images):
    bright = images.clone()
    bright[0, :, 5, 7] = 10.0  # nine pixels of 384 see it
    with torch.no_grad():
        network.blocks[0].convolutions[0].weight[3] = 0.0
        network.blocks[0].convolutions[0].bias[3] = 0.0
        network.condition.fc2.bias.view(2, 8)[0, 3] = 0.0
        network.condition.fc2.weight.view(2, 8, -1)[0, 3] = 0.0
        features = network.entry(bright - 0.5)
        peak = features[0, :, 5, 7]
        network.blocks[0].convolutions[0].weight[3, :, 1, 1] = peak
        network.blocks[0].convolutions[0].bias[3] = -0.9 * float(peak @ peak)
    assert not find_dead(network, bright)[0][3]
    assert find_dead(network, bright, seldom=0.05)[0][3]

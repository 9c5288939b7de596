"""Growth: the large network computes the small one's function, and all of it can learn."""

import pytest
import torch

from models.architectures.conditioned import Conditioned
from models.architectures.registry import build_network
from models.spec import NetworkSpec
from models.training.forward import upscale
from models.training.warm_start import grow


@pytest.fixture
def small():
    torch.manual_seed(1)
    network = Conditioned(channels=8, blocks=3, basis=3, widths=[4, 8], convolutions=3)
    with torch.no_grad():  # trained enough for every part to matter
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network


def large(channels=12, blocks=5, basis=4):
    torch.manual_seed(2)
    widths = [w for w in (4, 8, 12) if w < channels] + [channels]
    return Conditioned(channels, blocks, basis, widths, convolutions=3)


@pytest.mark.parametrize("size", [(20, 31), (47, 26)])
def test_at_the_small_widths_the_function_is_the_same(small, size):
    grown = large()
    grow(small, grown)
    image = torch.rand(2, 3, 13, 17)
    for width in small.widths:
        before = upscale(small, image, size, width, strength=0.3)
        after = upscale(grown, image, size, width, strength=0.3)
        torch.testing.assert_close(after, before, atol=1e-5, rtol=0)


def test_everything_new_learns_from_the_first_steps(small):
    grown = large()
    grow(small, grown)
    before = {name: value.clone() for name, value in grown.state_dict().items()}
    optimiser = torch.optim.Adam(grown.parameters(), lr=1e-3)
    image, target = torch.rand(2, 3, 13, 17), torch.rand(2, 3, 30, 40)
    for _ in range(3):
        optimiser.zero_grad()
        (upscale(grown, image, (30, 40), 12) - target).abs().mean().backward()
        optimiser.step()
    for block, place in ((4, 0), (4, 2), (0, 1), (0, 2)):
        name = f"blocks.{block}.convolutions.{place}.weight"
        moved = (grown.state_dict()[name] != before[name]).flatten(1).any(1)
        assert moved.all(), name
    fourth = grown.head.coefficients.weight.view(4, 4, 3, -1)[3]
    assert (fourth != before["head.coefficients.weight"].view(4, 4, 3, -1)[3]).any(-1).all()


@pytest.mark.parametrize("change", [{"channels": 6}, {"blocks": 2}, {"basis": 3}])
def test_it_does_not_shrink(small, change):
    start = large() if "basis" in change else small
    with pytest.raises(ValueError, match="cannot grow"):
        grow(start, large(**change))


def test_blocks_must_have_as_many_convolutions(small):
    with pytest.raises(ValueError, match="cannot grow"):
        grow(small, Conditioned(12, 5, 4, [4, 8, 12], convolutions=4))


def composed(encoder, head, **args):
    spec = NetworkSpec("composed", {"encoder": encoder, "head": {"name": head, "args": args}})
    return build_network(spec)


def test_another_head_starts_from_the_trained_encoder():
    torch.manual_seed(1)
    encoder = {"name": "edsr", "args": {"channels": 8, "blocks": 3}}
    small = composed(encoder, "metasr", hidden=4)
    large = composed(encoder, "liif", hidden=8)
    before = large.head.state_dict()
    grow(small, large)
    for name, value in small.encoder.state_dict().items():
        assert torch.equal(large.encoder.state_dict()[name], value)
    assert all(torch.equal(large.head.state_dict()[name], value) for name, value in before.items())


def with_pica(encoder):
    head = {"name": "pica", "args": {"head": {"name": "liif", "args": {"hidden": 8}}}}
    return build_network(NetworkSpec("composed", {"encoder": encoder, "head": head}))


def test_pica_begins_where_the_network_without_it_ended():
    encoder = {"name": "edsr", "args": {"channels": 8, "blocks": 1}}
    small, large = composed(encoder, "liif", hidden=8), with_pica(encoder)
    grow(small, large)
    image = torch.rand(1, 3, 7, 9)
    expected = upscale(small, image, (11, 20), 8)
    torch.testing.assert_close(upscale(large, image, (11, 20), 8), expected)


def test_another_encoder_starts_from_the_trained_head():
    small = with_pica({"name": "edsr", "args": {"channels": 8, "blocks": 9}})
    args = {"features": 8, "blocks": 1, "passes": 1, "reduction": 2}
    large = with_pica({"name": "fpen", "args": args})
    grow(small, large)
    for name, value in small.head.state_dict().items():
        assert torch.equal(large.head.state_dict()[name], value)


def test_another_scale_starts_from_all_but_the_last_layers():
    torch.manual_seed(1)
    arguments = {"channels": 8, "modules": 1, "blocks": 1}
    small = build_network(NetworkSpec("defian", {"scale": 2, **arguments}))
    large = build_network(NetworkSpec("defian", {"scale": 3, **arguments}))
    grow(small, large)
    known, new = small.state_dict(), large.state_dict()
    shared = [n for n in known if n in new and known[n].shape == new[n].shape]
    assert 0 < len(shared) < len(new)
    assert all(torch.equal(known[name], new[name]) for name in shared)


def test_what_shares_too_little_is_refused(small):
    with pytest.raises(ValueError, match="cannot start"):
        grow(small, composed({"name": "fpen", "args": {"features": 8, "blocks": 1}}, "liif"))

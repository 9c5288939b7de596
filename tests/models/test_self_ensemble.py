"""The self-ensemble: the mean over turned inputs, at any grid, as a network like any other."""

from typing import Any

import pytest
import torch

from models.architectures.registry import NetworkSpec
from models.architectures.self_ensemble import SelfEnsemble
from models.checkpoint import load_network, save_network
from models.cost import cost_of
from models.export import export_model
from models.train import upscale

ELASTIC: dict[str, Any] = {
    "name": "elastic",
    "args": {"channels": 8, "blocks": 1, "basis": 3, "widths": [4, 8]},
}
SRNO: dict[str, Any] = {
    "name": "composed",
    "args": {
        "encoder": {
            "name": "edsr",
            "args": {"channels": 8, "blocks": 1, "anysr": {"widths": [4, 8], "pairs": 2}},
        },
        "head": {"name": "srno", "args": {"channels": 8, "heads": 2}},
    },
}
# Odd inputs: no output pixel lies between two, where either may be the one it reads.
SIZES = [((7, 9), (14, 36)), ((5, 11), (17, 29)), ((5, 7), (5, 61))]


def build(inner: dict[str, Any], turns: int) -> SelfEnsemble:
    """A self-ensemble of a network with nothing at its starting value."""
    torch.manual_seed(2)
    net = NetworkSpec("self_ensemble", {"network": inner, "turns": turns}).build().eval()
    assert isinstance(net, SelfEnsemble)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return net


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("inner", [ELASTIC, SRNO], ids=["elastic", "srno"])
@pytest.mark.parametrize("turns", [2, 4])
def test_it_is_the_mean_of_the_passes_turned_back(turns, inner, size):
    net, image = build(inner, turns), torch.rand(2, 3, *size[0])
    passes = []
    with torch.no_grad():
        for turn in range(turns):
            asked = size[1] if turn % 2 == 0 else size[1][::-1]
            made = upscale(net.network, torch.rot90(image, turn, (2, 3)), asked, 4)
            passes.append(torch.rot90(made, -turn, (2, 3)))
        actual = upscale(net, image, size[1], 4)
    torch.testing.assert_close(actual, torch.stack(passes).mean(0), atol=1e-5, rtol=1e-5)
    assert (actual - passes[0]).abs().max() > 1e-3


@pytest.mark.parametrize("turns", [2, 4])
def test_four_turns_enlarge_a_turned_picture_the_same_way(turns):
    net, image = build(ELASTIC, turns), torch.rand(1, 3, 5, 11)
    with torch.no_grad():
        upright = upscale(net, image, (17, 29), 8)
        turned = upscale(net, torch.rot90(image, 1, (2, 3)), (29, 17), 8)
    same = torch.allclose(torch.rot90(upright, 1, (2, 3)), turned, atol=1e-5)
    assert same == (turns == 4)


@pytest.mark.parametrize("turns", [2, 4])
def test_nothing_beyond_the_halo_reaches_a_pixel(turns):
    net = build(ELASTIC, turns)
    image = torch.rand(1, 3, 30, 30)
    changed = image.clone()
    changed[:, :, 14, 15] = 1 - changed[:, :, 14, 15]
    with torch.no_grad():
        made = [upscale(net, i, (60, 60), 8) for i in (image, changed)]
    rows, columns = (made[0] != made[1]).any(1)[0].nonzero().T
    reach = max(14 - int(rows.min()) // 2, int(rows.max()) // 2 - 14)
    across = max(15 - int(columns.min()) // 2, int(columns.max()) // 2 - 15)
    assert net.halo is not None
    assert net.halo == net.network.halo
    assert 0 < max(reach, across) <= net.halo


def test_it_says_of_itself_what_its_network_says():
    net = build(SRNO, 2)
    inner = net.network
    assert (net.widths, net.halo, net.max_scale) == (inner.widths, None, inner.max_scale)
    assert net.tile_output_pixels == inner.tile_output_pixels


def test_it_costs_what_its_passes_cost():
    with torch.device("meta"):
        net = NetworkSpec("self_ensemble", {"network": SRNO, "turns": 4}).build()
        assert isinstance(net, SelfEnsemble)
    once, cost = cost_of(net.network), cost_of(net)
    assert list(cost.trunk) == [4 * count for count in once.trunk]
    assert cost.head_per_input == 4 * once.head_per_input
    assert cost.head_per_output == 4 * once.head_per_output


def test_it_is_made_of_trained_weights_when_they_are_exported(tmp_path):
    single = build(ELASTIC, 2).network
    weights = tmp_path / "trained.safetensors"
    save_network(weights, NetworkSpec(**ELASTIC), single)
    entry = export_model(weights, tmp_path, "twice", "A test.", torchscript=True, turns=2)
    assert entry.network.name == "self_ensemble"
    assert entry.halo == single.halo
    spec, net = load_network(tmp_path / entry.weights.file)
    assert spec.args == {"network": ELASTIC, "turns": 2}
    assert isinstance(net, SelfEnsemble)
    image = torch.rand(1, 3, 6, 10)
    with torch.no_grad():
        assert torch.equal(
            upscale(net, image, (17, 29), 4),
            upscale(SelfEnsemble(single, 2), image, (17, 29), 4),
        )


@pytest.mark.parametrize("turns", [0, 1, 3, 8])
def test_other_numbers_of_turns_are_refused(turns):
    with pytest.raises(ValueError, match="turns must be one of 2, 4"):
        NetworkSpec("self_ensemble", {"network": ELASTIC, "turns": turns}).build()


@pytest.mark.parametrize("turns", [-1, 0, 3])
def test_nothing_is_exported_in_other_numbers_of_turns(turns, tmp_path):
    weights = tmp_path / "trained.safetensors"
    save_network(weights, NetworkSpec(**ELASTIC), build(ELASTIC, 2).network)
    with pytest.raises(ValueError, match="turns must be one of 2, 4"):
        export_model(weights, tmp_path / "out", "never", "A test.", turns=turns)
    assert not (tmp_path / "out").exists()


def test_a_network_of_one_integer_scale_is_refused():
    fixed = {"name": "gidrn", "args": {"scale": 2}}
    with pytest.raises(ValueError, match="any scale"):
        NetworkSpec("self_ensemble", {"network": fixed}).build()

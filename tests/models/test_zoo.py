"""The zoo: the cost of each network, exact where the papers or their code give it."""

import pytest
import torch
from typer.testing import CliRunner

from cli.main import app
from models.architectures.registry import build_network
from models.arithmetic import arithmetic_of, parameters
from models.catalog import read_catalog
from models.zoo import ZOO


def on_meta(name):
    with torch.device("meta"):
        return build_network(ZOO[name]).eval()


@pytest.mark.parametrize("name", ZOO)
def test_every_network_can_be_built(name):
    network = on_meta(name)
    assert network.channels == network.widths[-1]
    assert parameters(network) > 0


def test_the_trunk_costs_what_the_facts_say_at_each_width():
    assert arithmetic_of(on_meta("anysr-edsr-srno")).trunk == [
        628_416,
        849_600,
        1_089_216,
        1_218_240,
    ]


def test_heads_cost_what_the_facts_say_in_their_plain_forms():
    def plain(name):
        network = on_meta(name)
        network.head.plain = True
        return arithmetic_of(network)

    assert plain("edsr-liif").head_per_output == 1_383_424
    assert plain("edsr-srno").head_per_output == 806_144
    assert plain("edsr-metasr").head_per_output == 3 * 256 + 256 * 1728 + 576 * 3


def test_the_released_rdn_hardly_saves_anything():
    """86.7, 91.3 and 95.3 % of the full encoder at its three narrower widths."""
    *narrow, full = arithmetic_of(on_meta("anysr-rdn-released-srno")).trunk
    assert [100 * cost / full for cost in narrow] == pytest.approx([86.7, 91.3, 95.3], abs=0.06)


def test_the_command_lists_networks_with_their_facts():
    result = CliRunner().invoke(app, ["models", "anysr-edsr-srno-without-ase", "--cost"])
    assert result.exit_code == 0, result.output
    for fact in ("2,015,299", "628,416", "849,600", "1,089,216", "1,218,240", "32", "57", "no"):
        assert fact in result.output
    shipped = CliRunner().invoke(app, ["models", "anysr-s"]).output
    assert "halo 35" in shipped
    # Twice: as a network, and as a trained model.
    assert shipped.count(" anysr-s ") == 2


def test_every_network_is_either_shipped_or_untrained():
    catalog = read_catalog()
    assert len(catalog.untrained) > 20
    assert set(catalog.untrained) == set(ZOO) - set(catalog.names)


def test_shipped_networks_of_the_zoo_have_its_specs():
    catalog = read_catalog()
    for name in set(ZOO) & set(catalog.names):
        entry = catalog.get(name)
        network = build_network(ZOO[name])
        assert entry.network == ZOO[name]
        assert (entry.halo, entry.max_scale) == (network.halo, network.max_scale)
        assert entry.on_demand
        assert not entry.in_ladder

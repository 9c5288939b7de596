"""Model cards: the shipped ones are fresh, and prose survives a refresh."""

import re
from pathlib import Path

import pytest

import models.training.config
from models.architectures.registry import build_network
from models.card import END, START, quality_table, refresh
from models.catalog import SHIPPED, read_catalog
from models.training.config import Config
from models.zoo import ZOO

CONFIGS = Path(models.training.config.__file__).parents[1] / "configs"
PAGES = SHIPPED.parent.parent / "docs" / "models"
PAPERS = ("composed", "defian", "gidrn")


@pytest.mark.parametrize("name", read_catalog().names)
def test_a_shipped_card_is_fresh(name):
    card = (SHIPPED / f"{name}.md").read_text()
    assert refresh(card, read_catalog().get(name)) == card


def test_prose_stays_and_the_table_is_renewed():
    model = read_catalog().get("anysr-s")
    card = refresh(f"before\n{START}\nold\n{END}\nafter\n", model)
    assert card.startswith("before\n")
    assert card.endswith("\nafter\n")
    assert "old" not in card
    assert quality_table(model) in card


def test_a_card_without_markers_raises():
    with pytest.raises(ValueError, match="has no"):
        refresh("nothing here", read_catalog().get("anysr-s"))


@pytest.mark.parametrize("name", read_catalog().names)
def test_a_papers_network_and_its_page_name_each_other(name):
    card = (SHIPPED / f"{name}.md").read_text()
    pages = re.findall(r"\.\./\.\./docs/models/(\w+\.md)", card)
    for page in pages:
        assert f"/artifacts/{name}.md)" in (PAGES / page).read_text()
    assert bool(pages) == (read_catalog().get(name).network.name in PAPERS)


@pytest.mark.parametrize("name", read_catalog().names)
def test_a_card_names_one_command_that_trains_its_network_from_nothing(name):
    prose = " ".join((SHIPPED / f"{name}.md").read_text().split())
    commands = [
        found for found in re.findall(r"`anysr train ([^`]*)`", prose) if "--grow-from" not in found
    ]
    assert commands, f"{name}.md has none"
    config, *options = commands[-1].split()
    network = Config.read(CONFIGS / f"{config}.toml").network
    if "--network" in options:
        network = ZOO[options[options.index("--network") + 1]]
    shipped = read_catalog().get(name).network
    shapes = build_network(shipped).state_dict()
    found = build_network(network).state_dict()
    assert {k: v.shape for k, v in found.items()} == {k: v.shape for k, v in shapes.items()}

"""Model cards: the shipped ones are fresh, and prose survives a refresh."""

import pytest

from models.card import END, START, quality_table, refresh
from models.catalog import SHIPPED, read_catalog


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


def test_a_card_without_a_place_is_told():
    with pytest.raises(ValueError, match="has no"):
        refresh("nothing here", read_catalog().get("anysr-s"))

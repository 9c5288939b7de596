"""A Prometheus with shorter times is otherwise the deployed one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.monitored.configuration import (
    deployed,
    hurried,
    read_config,
    seconds_of,
    write_config,
)

ALERTS: dict[str, Any] = yaml.safe_load((deployed() / "rules/alerts.yml").read_text())


def rules(groups: dict[str, Any]) -> list[dict[str, Any]]:
    return [rule for group in groups["groups"] for rule in group["rules"]]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("5m", 300), ("2h", 7200), ("1d", 86400)]
)
def test_durations_of_prometheus(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


def test_expressions_of_alerts_are_never_changed() -> None:
    for shipped, quick in zip(rules(ALERTS), rules(hurried(ALERTS, 20)), strict=True):
        assert quick.pop("for", None) == (
            f"{seconds_of(shipped['for']) / 20:.0f}s" if "for" in shipped else None
        )
        assert quick == {key: value for key, value in shipped.items() if key != "for"}


def test_only_times_of_the_configuration_differ() -> None:
    shipped, quick = read_config(None), read_config(0.5)
    assert shipped == yaml.safe_load((deployed() / "prometheus.yml").read_text())
    assert quick.pop("global") == {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
    assert quick == {key: value for key, value in shipped.items() if key != "global"}


def test_all_rules_are_written_beside_the_configuration(tmp_path: Path) -> None:
    path = write_config(tmp_path, read_config(None), hurry=1)
    assert yaml.safe_load(path.read_text()) == read_config(None)
    written = {file.name: yaml.safe_load(file.read_text()) for file in tmp_path.glob("rules/*")}
    assert set(written) == {file.name for file in (deployed() / "rules").iterdir()}
    assert [r["expr"] for r in rules(written["alerts.yml"])] == [r["expr"] for r in rules(ALERTS)]

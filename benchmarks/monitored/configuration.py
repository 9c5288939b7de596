"""Configuration and rules of Prometheus as deployed, or with shorter times."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import yaml

from benchmarks.checkout import checkout

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def deployed() -> Path:
    """Return the folder of the deployed Prometheus. Raises CheckoutMissing."""
    return checkout("deploy", "prometheus")


def read_config(every_s: float | None) -> dict[str, Any]:
    """Return prometheus.yml, scraping and evaluating rules each `every_s` seconds.

    Raises CheckoutMissing.
    """
    config: dict[str, Any] = yaml.safe_load((deployed() / "prometheus.yml").read_text())
    if every_s is not None:
        every = f"{round(every_s * 1e3)}ms"
        config["global"] |= {"scrape_interval": every, "evaluation_interval": every}
    return config


def write_config(folder: Path, config: dict[str, Any], hurry: float) -> Path:
    """Write prometheus.yml, and the deployed rules to `rules/` beside it; return its path."""
    (folder / "rules").mkdir()
    for path in (deployed() / "rules").glob("*.yml"):
        rules = yaml.safe_load(path.read_text())
        (folder / "rules" / path.name).write_text(yaml.safe_dump(hurried(rules, hurry)))
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    return folder / "prometheus.yml"


def hurried(rules: dict[str, Any], hurry: float) -> dict[str, Any]:
    """Return the rules with every `for` divided by `hurry`; all else is equal."""
    rules = copy.deepcopy(rules)
    for group in rules["groups"]:
        for rule in group["rules"]:
            if "for" in rule:
                rule["for"] = f"{round(seconds_of(rule['for']) / hurry)}s"
    return rules


def seconds_of(duration: str) -> float:
    """Return the seconds of a duration of Prometheus, such as 90s or 5m."""
    amount, unit = re.fullmatch(r"(\d+)([smhd])", duration).groups()  # type: ignore[union-attr]
    return float(amount) * SECONDS[unit]

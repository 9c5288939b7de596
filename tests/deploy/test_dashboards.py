"""The dashboards equal their source, and use only declared metrics."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from deploy.grafana.build import FOLDER, dashboards
from jobs.queue_health import QueueHealth
from service.metrics import GatewayMetrics
from workers.metrics import WorkerMetrics

ROOT = Path(__file__).parents[2]
RULES = sorted((ROOT / "deploy/prometheus/rules").glob("*.yml"))
GPU = "on machines without a GPU its panel would be empty"
NOT_SHOWN = {
    "anysr_machine_gpu_load_ratio": GPU,
    "anysr_machine_gpu_memory_total_bytes": GPU,
    "anysr_machine_gpu_memory_used_bytes": GPU,
    "anysr_worker_ready": "anysr_workers_ready knows those as well that cannot be scraped",
}
"""Metric -> why no panel has it."""
SUFFIXES = ("_total", "_bucket", "_count", "_sum", "")


def panels_of(text: str) -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = json.loads(text)["panels"]
    return panels


def families() -> set[str]:
    """Return the names of all metrics of gateways and workers."""
    gateway, worker = GatewayMetrics(), CollectorRegistry()
    gateway._counters.health = QueueHealth(0, 0, 0)
    WorkerMetrics(worker)
    return {family.name for family in (*gateway.registry.collect(), *worker.collect())}


def declared() -> set[str]:
    """Return the names of all series of gateways and workers."""
    return {f"{name}{suffix}" for name in families() for suffix in SUFFIXES}


def expressions() -> dict[str, str]:
    """Yield place and text of each PromQL expression."""
    found = {
        f"{name}: {panel['title']}: {target['refId']}": target["expr"]
        for name, text in dashboards().items()
        for panel in panels_of(text)
        for target in panel["targets"]
    }
    for path in RULES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                found[f"{path.name}: {rule.get('alert') or rule['record']}"] = rule["expr"]
    return found


def recorded() -> set[str]:
    rules = [
        rule
        for path in RULES
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]
    return {rule["record"] for rule in rules if "record" in rule}


def test_the_committed_dashboards_are_up_to_date() -> None:
    committed = {path.name: path.read_text() for path in FOLDER.glob("*.json")}
    assert committed == dashboards(), "run: python -m deploy.grafana.build"


@pytest.mark.parametrize("name", sorted(dashboards()))
def test_panels_have_descriptions_and_units(name: str) -> None:
    panels = panels_of(dashboards()[name])
    assert len(panels) >= 8
    assert len({panel["title"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_every_metric_of_a_dashboard_or_rule_is_declared() -> None:
    known = declared() | {"process_start_time_seconds"}
    for place, expression in expressions().items():
        for name in re.findall(r"\b(?:anysr|process)_\w+", expression):
            assert name in known, f"{place}: {name}"


def test_every_metric_is_shown_or_has_a_reason_not_to_be() -> None:
    shown = {
        name
        for expression in expressions().values()
        for name in re.findall(r"\banysr_\w+", expression)
    }
    own = {name for name in families() if name.startswith("anysr_")}
    hidden = {name for name in own if not shown & {f"{name}{suffix}" for suffix in SUFFIXES}}
    assert hidden == NOT_SHOWN.keys()


def test_every_recorded_series_is_used_and_every_used_one_is_recorded() -> None:
    used = {
        name
        for expression in expressions().values()
        for name in re.findall(r"\banysr:[\w:]+", expression)
    }
    assert used == recorded()


def test_provisioning_reads_the_dashboards_and_names_their_data_source() -> None:
    folder = ROOT / "deploy/grafana/provisioning"
    [source] = yaml.safe_load((folder / "datasources/prometheus.yml").read_text())["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    [provider] = yaml.safe_load((folder / "dashboards/anysr.yml").read_text())["providers"]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
